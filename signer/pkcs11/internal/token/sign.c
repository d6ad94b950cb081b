//go:build cgo && !nopkcs11

#define _GNU_SOURCE
#include "sign.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* The few types of PKCS #11 that are needed (v2.40, pkcs11t.h and pkcs11f.h). */
typedef struct { ulong_t mechanism; void *parameter; ulong_t length; } mechanism_t;
typedef struct { ulong_t hash, mgf, salt; } pss_t;
typedef struct { unsigned char version[2]; void *f[68]; } functions_t;
typedef ulong_t (*sign_init_t)(ulong_t, mechanism_t *, ulong_t);
typedef ulong_t (*sign_t)(ulong_t, unsigned char *, ulong_t, unsigned char *, ulong_t *);
enum { SIGN_INIT = 42, SIGN = 43 };                            /* their places in the list */
enum { RSA_PKCS_PSS = 0x0d, SHA256 = 0x250, MGF1_SHA256 = 2 }; /* RFC 7518, section 3.5: the salt is as long as the hash */

outcome_t sign_once(void *functions, ulong_t session, const held_t *key, const void *input, size_t length, void *signature) {
    functions_t *p11 = functions;
    pss_t pss = { SHA256, MGF1_SHA256, DIGEST };
    mechanism_t mechanism = { key->mechanism, NULL, 0 };
    if (key->mechanism == RSA_PKCS_PSS) {
        mechanism.parameter = &pss;
        mechanism.length = sizeof pss;
    }
    outcome_t o = { GOOD, 0, SIGNATURE };
    if (key->digest && length != DIGEST) {
        o.where = WRONG_LENGTH;
    } else if ((o.code = ((sign_init_t)p11->f[SIGN_INIT])(session, &mechanism, key->handle))) {
        o.where = AT_SIGN_INIT;
    } else if ((o.code = ((sign_t)p11->f[SIGN])(session, (unsigned char *)input, length, signature, &o.length))) {
        o.where = AT_SIGN;
    } else if (o.length > SIGNATURE) {
        o.where = AT_SIGN; /* it says that it wrote more than there is room for */
    }
    return o;
}

/* Version and kinds of frames, as in ../wire/frame.go. */
enum { VERSION = 2, ASK_SIGN = 2, ANSWER_GOOD = 128, ANSWER_UNSIGNED = 130 };

int read_request(const unsigned char *packet, size_t size, request_t *r) {
    if (size < HEADER + 1 + KID || size > PACKET) return -1;
    size_t told = (size_t)packet[0] << 24 | (size_t)packet[1] << 16 | (size_t)packet[2] << 8 | packet[3];
    if (told != size - 4 || packet[4] != VERSION || packet[5] != ASK_SIGN) return -1;
    r->algorithm = packet[HEADER];
    r->kid = (const char *)packet + HEADER + 1;
    r->input = packet + HEADER + 1 + KID;
    r->length = size - HEADER - 1 - KID;
    return 0;
}

static struct {
    pthread_rwlock_t lock;
    held_t *list;
    size_t count;
} keys = { PTHREAD_RWLOCK_INITIALIZER, NULL, 0 };

int hold_keys(const held_t *list, size_t count) {
    held_t *copy = malloc((count + 1) * sizeof *copy);
    if (!copy) return -1;
    memcpy(copy, list, count * sizeof *copy);
    pthread_rwlock_wrlock(&keys.lock);
    held_t *old = keys.list;
    keys.list = copy;
    keys.count = count;
    pthread_rwlock_unlock(&keys.lock);
    free(old);
    return 0;
}

static int find_key(const char *kid, held_t *found) {
    int there = 0;
    pthread_rwlock_rdlock(&keys.lock);
    for (size_t i = 0; i < keys.count && !there; i++)
        if (!memcmp(keys.list[i].kid, kid, KID)) {
            *found = keys.list[i];
            there = 1;
        }
    pthread_rwlock_unlock(&keys.lock);
    return there;
}

/* A thread with its session and its room. answers holds those that were not sent yet. */
typedef struct {
    void *functions;
    int socket;
    ulong_t session;
    size_t filled;
    int waiting;
    unsigned char packet[PACKET], answers[ANSWERS * (HEADER + SIGNATURE)];
} desk_t;

/* While there is more to sign at once, up to ANSWERS answers of quick signatures go in one packet: to wake the parent
 * costs both sides as much as a good part of such a signature. An answer waits for quick ones, or for one slow one: then
 * all are sent. If that one hangs, the worker is killed, and whoever waits asks the next one, as ever. */
enum { QUICK = 500 }; /* microseconds */

static void put(unsigned char *to, unsigned long long value, int bytes) {
    while (bytes--) {
        to[bytes] = value & 0xff;
        value >>= 8;
    }
}

/* reply adds the answer to a request. */
static void reply(desk_t *d, const request_t *r) {
    held_t key;
    unsigned char *answer = d->answers + d->filled, *payload = answer + HEADER;
    outcome_t o = { UNKNOWN_KEY, 0, 0 };
    if (find_key(r->kid, &key)) {
        o.where = WRONG_ALGORITHM;
        if (key.algorithm == r->algorithm) o = sign_once(d->functions, d->session, &key, r->input, r->length, payload);
    }
    answer[4] = VERSION;
    answer[5] = ANSWER_GOOD;
    if (o.where != GOOD) { /* payload: where 1, code 8 */
        answer[5] = ANSWER_UNSIGNED;
        payload[0] = o.where;
        put(payload + 1, o.code, 8);
        o.length = 9;
    }
    put(answer, HEADER - 4 + o.length, 4);
    memcpy(answer + 6, d->packet + 6, 8); /* the number */
    d->filled += HEADER + o.length;
    d->waiting++;
}

/* flush sends the answers, of which there are some. It gives 0, or -1 when the parent is gone. */
static int flush(desk_t *d) {
    ssize_t sent;
    do sent = send(d->socket, d->answers, d->filled, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    d->filled = 0;
    d->waiting = 0;
    return sent < 0 ? -1 : 0;
}

static long long microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void *serve(void *argument) {
    desk_t *d = argument;
    for (;;) {
        ssize_t size = recv(d->socket, d->packet, sizeof d->packet, d->waiting ? MSG_DONTWAIT : 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && d->waiting) { /* nothing more to sign now */
            if (flush(d)) break;
            continue;
        }
        if (size <= 0) break; /* the parent is gone */
        request_t r;
        if (read_request(d->packet, size, &r)) {
            fprintf(stderr, "pkcs11: broken frame: a request to sign of %zd bytes\n", size);
            _exit(1);
        }
        long long began = microseconds();
        reply(d, &r);
        if ((d->waiting == ANSWERS || microseconds() - began > QUICK) && flush(d)) break;
    }
    free(d);
    return NULL;
}

int start_threads(void *functions, int socket, const ulong_t *sessions, int count) {
    /* Signals are for Go. What a module does wrong ends the process all the same: the system sees to that. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t detached;
    int problem = pthread_attr_init(&detached);
    if (problem) return problem;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < count && !problem; i++) {
        pthread_t thread;
        desk_t *d = malloc(sizeof *d);
        if (!d) {
            problem = ENOMEM;
            break;
        }
        d->functions = functions;
        d->socket = socket;
        d->session = sessions[i];
        d->filled = 0;
        d->waiting = 0;
        problem = pthread_create(&thread, &detached, serve, d);
        if (problem) free(d);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return problem;
}
