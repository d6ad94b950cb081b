package pkcs11_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// TestGoodputOfASlowHSM: 400 callers of an HSM that makes some 7 signatures a second get as many as it can make, no answer
// takes longer than the deadline, and whoever gets none is told at once when to come again. Each caller comes again a
// second after a refusal: many times what the HSM can do.
//
// Covers: FD-100.
func TestGoodputOfASlowHSM(t *testing.T) {
	const deadline, during = 4 * time.Second, 8 * time.Second
	b, started := openFaulty(t, "slow", func(c *pkcs11.Config) { c.QueueTime = 3 * time.Second })
	began := time.Now()
	var made, refused, atOnce, longest atomic.Int64
	var all sync.WaitGroup
	for range 400 {
		all.Go(func() {
			for time.Since(began) < during {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				asked := time.Now()
				_, err := b.Sign(ctx, invented, []byte("m"))
				cancel()
				took := time.Since(asked)
				for {
					most := longest.Load()
					if int64(took) <= most || longest.CompareAndSwap(most, int64(took)) {
						break
					}
				}
				if err == nil {
					if time.Since(began) < during {
						made.Add(1)
					}
					continue
				}
				wait, ok := errors.AsType[interface {
					error
					RetryAfter() time.Duration
				}](err)
				if !ok || !errors.Is(err, signer.ErrOverloaded) || wait.RetryAfter() < time.Second {
					t.Errorf("refused with %v", err)
				}
				refused.Add(1)
				if took < 100*time.Millisecond {
					atOnce.Add(1)
				}
				time.Sleep(time.Second)
			}
		})
	}
	all.Wait()
	possible := int64(during / pkcs11.SlowSignature)
	t.Logf("%d of %d possible signatures made, %d refused, %d of them at once; the longest answer took %s",
		made.Load(), possible, refused.Load(), atOnce.Load(), time.Duration(longest.Load()))
	t.Run("accepts as many as the HSM can sign for", func(t *testing.T) {
		if made.Load() < possible*9/10 {
			t.Errorf("%d signatures were made, of %d that the HSM can make", made.Load(), possible)
		}
		if longest.Load() > int64(deadline) {
			t.Errorf("an answer took %s", time.Duration(longest.Load()))
		}
	})
	t.Run("refuses the others at once", func(t *testing.T) {
		if refused.Load() == 0 || atOnce.Load() < refused.Load()*8/10 {
			t.Errorf("only %d of %d were refused at once", atOnce.Load(), refused.Load())
		}
	})
	if started() != 1 {
		t.Errorf("%d workers were started: a busy one was taken for one that hangs", started())
	}
}

// TestTwoSlowHSMs: two replicas that have too much to do both sign, and neither is taken for one that fails.
//
// Covers: FD-100.
func TestTwoSlowHSMs(t *testing.T) {
	const during = 5 * time.Second
	slow := func(c *pkcs11.Config) { c.QueueTime = 2 * time.Second }
	one, _ := openFaulty(t, "slow", slow)
	other, _ := openFaulty(t, "slow", slow)
	began := time.Now()
	var made [2]atomic.Int64
	var all sync.WaitGroup
	for i, b := range []*pkcs11.Backend{one, other} {
		for range 100 {
			all.Go(func() {
				for time.Since(began) < during {
					if _, err := b.SignNow(t.Context(), invented, []byte("m")); err == nil {
						made[i].Add(1)
					} else if !errors.Is(err, signer.ErrOverloaded) {
						t.Errorf("replica %d: %v", i, err)
					} else {
						time.Sleep(500 * time.Millisecond)
					}
				}
			})
		}
	}
	all.Wait()
	for i := range made {
		if possible := int64(during / pkcs11.SlowSignature); made[i].Load() < possible*9/10 {
			t.Errorf("replica %d made %d signatures of %d", i, made[i].Load(), possible)
		}
	}
	if e := one.Expected(); e < pkcs11.SlowSignature/2 || e > 4*pkcs11.SlowSignature {
		t.Errorf("one that rests is expected to take %s", e)
	}
}

// TestSpansTellWaitingFromSigning: a trace has a span for the time in the queue and one for the HSM's, and none for the HSM
// where that did nothing.
//
// Covers: FD-104.
func TestSpansTellWaitingFromSigning(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	ctx, root := provider.Tracer("test").Start(t.Context(), "request")
	b, _ := openFaulty(t, "slow", func(c *pkcs11.Config) { c.Queue = 16 })
	var all sync.WaitGroup
	for range 6 { // four are begun
		all.Go(func() {
			if _, err := b.Sign(ctx, invented, []byte("m")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	root.End()
	t.Run("accepts two that wait and six that sign", func(t *testing.T) {
		waited, signed := 0, 0
		for _, span := range recorder.Ended() {
			took := span.EndTime().Sub(span.StartTime())
			switch span.Name() {
			case "signer.queue":
				waited++
				if took < pkcs11.SlowSignature/2 {
					t.Errorf("a span of %s in the queue, want at least most of a signature's time", took)
				}
			case "signer.hsm":
				signed++
				if took < pkcs11.SlowSignature/2 {
					t.Errorf("a span of %s in the HSM", took)
				}
			}
		}
		if waited != 2 || signed != 6 {
			t.Errorf("%d spans in the queue and %d in the HSM, want 2 and 6", waited, signed)
		}
	})
	t.Run("refuses a span of the HSM to who got no place", func(t *testing.T) {
		for range 8 {
			all.Go(func() {
				if _, err := b.Sign(t.Context(), invented, []byte("m")); err != nil {
					t.Error(err)
				}
			})
		}
		defer all.Wait()
		for until := time.Now().Add(2 * pkcs11.SlowSignature); b.Expected() < 4*pkcs11.SlowSignature; { // all places are taken
			if time.Now().After(until) {
				t.Fatalf("with eight callers one more is expected to take %s", b.Expected())
			}
			time.Sleep(time.Millisecond)
		}
		recorder.Reset()
		short, cancel := context.WithTimeout(ctx, pkcs11.SlowSignature/10)
		defer cancel()
		if _, err := b.Sign(short, invented, []byte("m")); !errors.Is(err, signer.ErrOverloaded) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("refused with %v", err)
		}
		for _, span := range recorder.Ended() {
			if span.Name() == "signer.hsm" {
				t.Errorf("a span of %s in the HSM", span.EndTime().Sub(span.StartTime()))
			}
		}
	})
}
