/* Signatures without Go in between: one call of C_SignInit and C_Sign, and the threads of the worker that make them.
 * See sign.go for why. */
#ifndef COUNTERSIGN_SIGN_H
#define COUNTERSIGN_SIGN_H

#include <stddef.h>

typedef unsigned long ulong_t; /* CK_ULONG */

/* The sizes of the protocol; sign.go checks that they are those of ../wire/frame.go. */
enum {
    HEADER = 14,      /* length 4, version 1, kind 1, number 8 */
    KID = 43,         /* base64url of 32 bytes */
    DIGEST = 32,
    SIGNATURE = 1024, /* more than any: RSA keys have at most 4096 bits */
    ANSWERS = 4,      /* the most in one packet */
    PACKET = HEADER + 1 + KID + (128 << 10)
};

/* What came of a signature. where tells which of the two calls refused, and code what it returned. */
enum { GOOD, UNKNOWN_KEY, WRONG_ALGORITHM, WRONG_LENGTH, AT_SIGN_INIT, AT_SIGN };
typedef struct { int where; ulong_t code, length; } outcome_t;

/* A key that may sign. digest tells that it signs a digest and nothing else. */
typedef struct {
    char kid[KID];
    unsigned char algorithm, digest;
    ulong_t handle, mechanism;
} held_t;

/* sign_once makes a signature in a session, into a buffer of SIGNATURE bytes. */
outcome_t sign_once(void *functions, ulong_t session, const held_t *key, const void *input, size_t length, void *signature);

/* A request to sign, as a packet holds it. */
typedef struct { unsigned char algorithm; const char *kid; const unsigned char *input; size_t length; } request_t;

/* read_request finds the parts of a packet. It gives 0, or -1 for what is no request of this version. */
int read_request(const unsigned char *packet, size_t size, request_t *request);

/* hold_keys has the threads sign with these keys from now on. The list is copied. It gives 0, or -1 without memory. */
int hold_keys(const held_t *list, size_t count);

/* start_threads answers the packets of a socket, a thread for each session, until the other side is gone.
 * It gives 0 or an errno. */
int start_threads(void *functions, int socket, const ulong_t *sessions, int count);

#endif
