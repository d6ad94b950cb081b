/* A PKCS #11 module that does what another one does, and now and then what no module should.
 *
 * FAULTY_MODULE names the module behind it, FAULTY_CONTROL a file that is read at each call. The file holds up to three
 * words: a function, what goes wrong in it, and how often.
 *
 *   C_Sign flip        one bit of each signature is changed       C_Login hang    the call never returns
 *   C_Sign short       the last byte is missing                   C_Sign abort    the process aborts
 *   C_Sign empty       the signature has no bytes                 C_Sign segv     the process reads address 8
 *   C_Sign 0xb3        the call returns this code                 C_Sign slow     the call takes half a second longer
 *   C_Sign 0x30 3      every third call fails                     C_Sign slow once   the next call only
 *   C_Sign note        nothing, but the call is counted           C_SignLength note  so, where only the length is asked
 *   C_FindObjects few  at most two handles at a time              C_FindObjects endless  the same handles for ever
 *   Mechanisms empty   CKA_ALLOWED_MECHANISMS has no bytes        Mechanisms 0x6     reading it returns this code
 *   C_OpenSession three  no more than three sessions
 *   C_GetTokenInfo final-try, locked   the token says so of its PIN     C_GetTokenInfo 0x5 once   the call returns this code
 *
 * Without the file, or with an empty one, nothing goes wrong. Each fault adds a byte to the file that FAULTY_COUNT names. The few types of PKCS #11 that are needed are declared here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*function_t)();
typedef struct { unsigned char version[2]; function_t f[68]; } functions_t;

/* The places of the functions in CK_FUNCTION_LIST (PKCS #11 v2.40, pkcs11f.h). */
enum { INITIALIZE = 0, GET_FUNCTION_LIST = 3, TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18, GET_ATTRIBUTE = 24, FIND_INIT = 26,
       FIND = 27, SIGN_INIT = 42, SIGN = 43 };
enum { OK = 0, GENERAL_ERROR = 5, SESSION_COUNT = 0xb1, ALLOWED_MECHANISMS = 0x40000600, FINAL_TRY = 0x20000, LOCKED = 0x40000 };

typedef struct { ulong_t type; void *value; ulong_t length; } attribute_t;
typedef struct { unsigned char label[32], manufacturer[32], model[16], serial[16]; ulong_t flags; } token_info_t; /* its beginning */

static functions_t *behind, front;

/* note adds a byte to the count. */
static int note(void) {
    const char *name = getenv("FAULTY_COUNT");
    int file = name ? open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || write(file, ".", 1) != 1) fprintf(stderr, "FAULTY_COUNT cannot be written\n");
    if (file >= 0) close(file);
    return 1;
}

/* fault tells what goes wrong in this call of a function: its name in what, or nothing. */
static int fault(const char *function, char what[32]) {
    static atomic_ulong calls;
    char text[128] = "", where[32] = "", often[32] = "";
    const char *control = getenv("FAULTY_CONTROL");
    FILE *file = control ? fopen(control, "re") : 0;
    if (!file) return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    what[0] = 0;
    if (sscanf(text, "%31s %31s %31s", where, what, often) < 2 || strcmp(where, function)) return 0;
    if (!strcmp(often, "once")) return unlink(control) == 0 && note(); /* of many threads one succeeds */
    unsigned long every = strtoul(often, 0, 10);
    return (every < 2 || atomic_fetch_add(&calls, 1) % every == every - 1) && note();
}

/* suffer does what can go wrong before a call. It gives the code to return, or OK to go on. */
static ulong_t suffer(const char *what) {
    if (!strcmp(what, "hang")) for (;;) pause();
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "segv")) return *(volatile ulong_t *)8;
    if (!strcmp(what, "slow")) usleep(500000);
    return strtoul(what, 0, 16);
}

#define BEFORE(function) do { char what_[32]; ulong_t rv_; \
    if (fault(function, what_) && (rv_ = suffer(what_))) return rv_; } while (0)

static ulong_t initialize(void *arguments) {
    BEFORE("C_Initialize");
    return behind->f[INITIALIZE](arguments);
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session) {
    static atomic_ulong opened;
    char what[32];
    if (fault("C_OpenSession", what)) {
        ulong_t rv = strcmp(what, "three") ? suffer(what) : atomic_load(&opened) < 3 ? OK : SESSION_COUNT;
        if (rv) return rv;
    }
    ulong_t rv = behind->f[OPEN_SESSION](slot, flags, application, notify, session);
    if (!rv) atomic_fetch_add(&opened, 1);
    return rv;
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    BEFORE("C_Login");
    return behind->f[LOGIN](session, user, pin, length);
}

static ulong_t find_init(ulong_t session, void *template, ulong_t count) {
    BEFORE("C_FindObjectsInit");
    return behind->f[FIND_INIT](session, template, count);
}

static ulong_t token_info(ulong_t slot, token_info_t *info) {
    char what[32];
    ulong_t rv = behind->f[TOKEN_INFO](slot, info);
    if (rv || !fault("C_GetTokenInfo", what)) return rv;
    if (!strcmp(what, "final-try")) info->flags |= FINAL_TRY;
    else if (!strcmp(what, "locked")) info->flags |= LOCKED;
    else return suffer(what);
    return rv;
}

static ulong_t find(ulong_t session, ulong_t *objects, ulong_t most, ulong_t *count) {
    static ulong_t last[2], known;
    char what[32];
    if (!fault("C_FindObjects", what)) return behind->f[FIND](session, objects, most, count);
    ulong_t rv = behind->f[FIND](session, objects, most > 2 ? 2 : most, count);
    if (rv || strcmp(what, "endless")) return rv;
    if (*count) memcpy(last, objects, (known = *count) * sizeof *last);
    else memcpy(objects, last, (*count = known) * sizeof *last);
    return rv;
}

static ulong_t get_attribute(ulong_t session, ulong_t object, attribute_t *list, ulong_t count) {
    char what[32];
    if (count != 1 || list->type != ALLOWED_MECHANISMS || !fault("Mechanisms", what))
        return behind->f[GET_ATTRIBUTE](session, object, list, count);
    if (strcmp(what, "empty")) return suffer(what);
    list->length = 0;
    return OK;
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key) {
    BEFORE("C_SignInit");
    return behind->f[SIGN_INIT](session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t length, unsigned char *signature, ulong_t *size) {
    char what[32];
    /* A call without a buffer only asks how long the signature will be. */
    if (!signature) BEFORE("C_SignLength");
    if (!signature || !fault("C_Sign", what)) return behind->f[SIGN](session, data, length, signature, size);
    ulong_t rv = strcmp(what, "flip") && strcmp(what, "short") && strcmp(what, "empty") ? suffer(what) : OK;
    if (rv) return rv;
    rv = behind->f[SIGN](session, data, length, signature, size);
    if (rv || !*size) return rv;
    if (!strcmp(what, "flip")) signature[*size / 2] ^= 4;
    if (!strcmp(what, "short")) --*size;
    if (!strcmp(what, "empty")) *size = 0;
    return OK;
}

ulong_t C_GetFunctionList(functions_t **list) {
    const char *name = getenv("FAULTY_MODULE");
    void *library = name ? dlopen(name, RTLD_NOW) : 0;
    function_t get = library ? (function_t)dlsym(library, "C_GetFunctionList") : 0;
    if (!get || get(&behind)) {
        fprintf(stderr, "FAULTY_MODULE=%s cannot be loaded\n", name ? name : "");
        return GENERAL_ERROR;
    }
    front = *behind;
    front.f[INITIALIZE] = initialize;
    front.f[GET_FUNCTION_LIST] = C_GetFunctionList;
    front.f[OPEN_SESSION] = open_session;
    front.f[LOGIN] = login;
    front.f[FIND_INIT] = find_init;
    front.f[FIND] = find;
    front.f[TOKEN_INFO] = token_info;
    front.f[GET_ATTRIBUTE] = get_attribute;
    front.f[SIGN_INIT] = sign_init;
    front.f[SIGN] = sign;
    *list = &front;
    return OK;
}
