/* The yardstick: threads that do nothing but C_SignInit and C_Sign.
 *
 * Standard input: module, token label and PIN, a line each; then, for each measurement, a line of algorithm (PS256,
 * ES256, EdDSA), CKA_ID in hexadecimal, threads, milliseconds. Standard output: "ready", then a line of signatures made
 * and microseconds taken for each. The few types of PKCS #11 that are needed are declared here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long ulong_t;
typedef struct { ulong_t mechanism; void *parameter; ulong_t length; } mechanism_t;
typedef struct { ulong_t type; void *value; ulong_t length; } attribute_t;
typedef struct { ulong_t hash, mgf, salt; } pss_t;
typedef struct { void *create, *destroy, *lock, *unlock; ulong_t flags; void *reserved; } arguments_t;
typedef struct { unsigned char version[2]; void *f[68]; } functions_t;

enum { INITIALIZE = 0, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18,
       FIND_INIT = 26, FIND = 27, FIND_FINAL = 28, SIGN_INIT = 42, SIGN = 43 };

static functions_t *p11;
static ulong_t slot;
#define CALL(number, ...) (((ulong_t(*)())p11->f[number])(__VA_ARGS__))
#define MUST(what, number, ...) do { ulong_t rv_ = CALL(number, __VA_ARGS__); \
    if (rv_) { fprintf(stderr, "%s: %#lx\n", what, rv_); exit(1); } } while (0)

static ulong_t session(void) {
    ulong_t s = 0;
    MUST("C_OpenSession", OPEN_SESSION, slot, (ulong_t)4, (void *)0, (void *)0, &s);
    return s;
}

typedef struct { ulong_t session, key; mechanism_t mechanism; unsigned char input[32]; ulong_t length; double end; long made; } work_t;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void *loop(void *argument) {
    work_t *w = argument;
    unsigned char signature[1024];
    while (now() < w->end) {
        ulong_t length = sizeof signature;
        MUST("C_SignInit", SIGN_INIT, w->session, &w->mechanism, w->key);
        MUST("C_Sign", SIGN, w->session, w->input, w->length, signature, &length);
        w->made++;
    }
    return 0;
}

static char *line(char *buffer, int size) {
    if (!fgets(buffer, size, stdin)) return 0;
    buffer[strcspn(buffer, "\n")] = 0;
    return buffer;
}

int main(void) {
    char module[4096], label[64], pin[300], alg[16], hex[200];
    int threads, milliseconds;
    if (!line(module, sizeof module) || !line(label, sizeof label) || !line(pin, sizeof pin)) return 2;
    void *library = dlopen(module, RTLD_NOW);
    if (!library) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    ulong_t (*list)(functions_t **) = (ulong_t(*)(functions_t **))dlsym(library, "C_GetFunctionList");
    if (!list || list(&p11)) return 1;
    arguments_t arguments = { .flags = 2 };
    MUST("C_Initialize", INITIALIZE, &arguments);
    ulong_t slots[64], count = 64, found = 0;
    MUST("C_GetSlotList", GET_SLOT_LIST, (unsigned char)1, slots, &count);
    for (ulong_t i = 0; i < count; i++) {
        unsigned char info[1024] = { 0 };
        if (CALL(GET_TOKEN_INFO, slots[i], info) == 0 && !strncmp((char *)info, label, strlen(label))) { slot = slots[i]; found = 1; }
    }
    if (!found) { fprintf(stderr, "no such token\n"); return 1; }
    ulong_t keep = session();
    MUST("C_Login", LOGIN, keep, (ulong_t)1, pin, (ulong_t)strlen(pin));
    static ulong_t sessions[256];
    int opened = 0;
    puts("ready");
    fflush(stdout);
    while (scanf("%15s %199s %d %d", alg, hex, &threads, &milliseconds) == 4 && threads > 0 && threads <= 256) {
        unsigned char id[100];
        ulong_t class = 3, key = 0, n = 0, size = strlen(hex) / 2;
        for (ulong_t i = 0; i < size; i++) sscanf(hex + 2 * i, "%2hhx", &id[i]);
        attribute_t wanted[] = { { 0, &class, sizeof class }, { 0x102, id, size } };
        MUST("C_FindObjectsInit", FIND_INIT, keep, wanted, (ulong_t)2);
        MUST("C_FindObjects", FIND, keep, &key, (ulong_t)1, &n);
        MUST("C_FindObjectsFinal", FIND_FINAL, keep);
        if (n != 1) { fprintf(stderr, "no such key\n"); return 1; }
        for (; opened < threads; opened++) sessions[opened] = session();
        static pss_t pss = { 0x250, 2, 32 };
        mechanism_t mechanism = !strcmp(alg, "PS256") ? (mechanism_t){ 0xd, &pss, sizeof pss }
            : !strcmp(alg, "ES256") ? (mechanism_t){ 0x1041, 0, 0 } : (mechanism_t){ 0x1057, 0, 0 };
        work_t work[256];
        pthread_t thread[256];
        double began = now();
        for (int i = 0; i < threads; i++) {
            work[i] = (work_t){ sessions[i], key, mechanism, { 1, 2, 3 }, 32, began + milliseconds / 1e3, 0 };
            pthread_create(&thread[i], 0, loop, &work[i]);
        }
        long made = 0;
        for (int i = 0; i < threads; i++) { pthread_join(thread[i], 0); made += work[i].made; }
        printf("%ld %ld\n", made, (long)((now() - began) * 1e6));
        fflush(stdout);
    }
    return 0;
}
