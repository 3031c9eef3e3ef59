/*
 * A small outside in memory for the tests of src/store: files, faults, crashes.
 *
 * Owns: its files. Must never: take part in hf_alloc_fault_set (it uses malloc directly).
 *
 * 1. What a crash keeps: of a file the bytes as of its last sync, of the directory the names as of
 *    its last sync. With a seed other than 0 each thing that was not synced may survive, be torn or
 *    be garbage.
 * 2. The n-th call of a function that can fail does fail (once), or from it on all do (crash).
 * 3. Reads may come from several threads.
 */
#ifndef HF_TESTS_UNIT_STORE_OUTSIDE_H
#define HF_TESTS_UNIT_STORE_OUTSIDE_H

#include "outside/outside.h"

struct store_outside;

struct store_outside *store_outside_new(void);
void store_outside_free(struct store_outside *world);
struct hf_outside *store_outside_of(struct store_outside *world);

/* The n-th call from now fails with code (0 = none does); counts calls from 0. */
void store_outside_fail(struct store_outside *world, uint64_t n, enum hf_err code);
/* From the n-th call on all fail with CRASHED. */
void store_outside_crash_at(struct store_outside *world, uint64_t n);
/* Calls since the last of fail and crash_at; whether one failed. */
uint64_t store_outside_calls(const struct store_outside *world);
bool store_outside_failed(const struct store_outside *world);

/* Power is lost and comes back: see 1. All files must have been closed. */
void store_outside_power_cycle(struct store_outside *world, uint64_t seed);

/* Whole files, for tests that damage them. */
bool store_outside_exists(const struct store_outside *world, const char *path);
size_t store_outside_file_count(const struct store_outside *world);
size_t store_outside_open_count(const struct store_outside *world);
/* A malloc'd copy. */
uint8_t *store_outside_get(const struct store_outside *world, const char *path, size_t *size_bytes);
/* Replaces or creates it, synced. */
void store_outside_put(struct store_outside *world, const char *path, const void *data,
                       size_t size_bytes);

/* xorshift64*; state must not be 0. */
static inline uint64_t store_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

#endif
