package storetest

import (
	"sync"
	"time"

	"countersign/store"
)

// standing reads a standing and checks it.
func (f *fixture) standing(organisation string, want store.BackchannelStanding) {
	f.Helper()
	got, err := f.BackchannelStanding(f.Context(), "subject", organisation)
	f.must(err)
	f.equal(got, want)
}

// testBackchannelStanding: denials count against the organisation of the request, and an approval ends what was counted.
func testBackchannelStanding(f *fixture) {
	f.standing("bank", store.BackchannelStanding{})
	f.must(f.DecideBackchannel(f.Context(), deny(f.asked())))
	want := store.BackchannelStanding{Subject: "subject", Organisation: "bank", ClientID: "client", Denials: 1, DeniedAt: f.clock.Now()}
	f.standing("bank", want)
	f.standing("other", store.BackchannelStanding{})
	f.clock.set(f.clock.Now().Add(time.Minute))
	denied := f.asked()
	f.must(f.DecideBackchannel(f.Context(), deny(denied)))
	f.want(f.DecideBackchannel(f.Context(), deny(denied)), store.ErrConsumed)
	want.Denials, want.DeniedAt = 2, f.clock.Now()
	f.standing("bank", want)

	f.allowed()
	want.Denials, want.DeniedAt = 0, time.Time{}
	f.standing("bank", want)
	f.must(f.DecideBackchannel(f.Context(), deny(f.asked())))
	want.Denials, want.DeniedAt = 1, f.clock.Now()
	f.standing("bank", want)
	f.clock.set(f.clock.Now().Add(store.DenialsLast - time.Microsecond))
	f.standing("bank", want)
	f.clock.set(f.clock.Now().Add(time.Microsecond))
	want.Denials = 0
	f.standing("bank", want)
	f.must(f.DecideBackchannel(f.Context(), deny(f.asked())))
	want.Denials, want.DeniedAt = 1, f.clock.Now()
	f.standing("bank", want)

	unnamed := f.backchannelRequest()
	unnamed.Organisation = ""
	f.must(f.StartBackchannel(f.Context(), unnamed, backchannelLimits()))
	f.must(f.DecideBackchannel(f.Context(), deny(unnamed)))
	f.standing("", store.BackchannelStanding{})
}

// testBlockBackchannel: a block is as old as the first of its kind, and independent of denials.
func testBlockBackchannel(f *fixture) {
	blocked := func(want ...store.BackchannelStanding) {
		f.Helper()
		got, err := f.BlockedBackchannel(f.Context(), "subject")
		f.must(err)
		if len(got)+len(want) > 0 {
			f.equal(got, want)
		}
	}
	blocked()
	bank := store.BackchannelStanding{Subject: "subject", Organisation: "bank", ClientID: "one", BlockedAt: f.clock.Now()}
	f.must(f.BlockBackchannel(f.Context(), bank))
	f.standing("bank", bank)
	f.clock.set(f.clock.Now().Add(time.Minute))
	other := store.BackchannelStanding{Subject: "subject", Organisation: "a shop", ClientID: "two", BlockedAt: f.clock.Now()}
	f.must(f.BlockBackchannel(f.Context(), other))
	again := bank
	again.ClientID, again.BlockedAt = "three", f.clock.Now()
	f.must(f.BlockBackchannel(f.Context(), again))
	bank.ClientID = "three" // and not the one that is denied
	blocked(bank, other)
	f.must(f.DecideBackchannel(f.Context(), deny(f.asked())))
	bank.Denials, bank.DeniedAt = 1, f.clock.Now()
	blocked(bank, other)

	f.clock.set(f.clock.Now().Add(2 * store.DenialsLast))
	_, err := f.Purge(f.Context(), 100)
	f.must(err)
	bank.Denials = 0
	f.standing("bank", bank)
	f.must(f.BlockBackchannel(f.Context(), store.BackchannelStanding{Subject: "subject", Organisation: "bank"}))
	blocked(other)
	f.must(f.BlockBackchannel(f.Context(), store.BackchannelStanding{Subject: "subject", Organisation: "never blocked"}))
	f.must(f.BlockBackchannel(f.Context(), store.BackchannelStanding{Subject: "another", Organisation: "a shop"}))
	blocked(other)
	_, err = f.Purge(f.Context(), 100)
	f.must(err)
	f.standing("bank", store.BackchannelStanding{})
	blocked(other)
}

// testRaceDenials: of denials that race each counts.
func testRaceDenials(f *fixture) {
	const number = 16
	var requests []store.BackchannelRequest
	for range number {
		requests = append(requests, f.asked())
	}
	var all sync.WaitGroup
	for _, request := range requests {
		for range 2 {
			all.Go(func() {
				err := f.DecideBackchannel(f.Context(), deny(request))
				if err != nil {
					f.want(err, store.ErrConsumed)
				}
			})
		}
	}
	all.Wait()
	f.standing("bank", store.BackchannelStanding{Subject: "subject", Organisation: "bank", ClientID: "client", Denials: number, DeniedAt: f.clock.Now()})
}
