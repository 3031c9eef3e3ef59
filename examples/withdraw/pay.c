/*
 * Service A: lets users pay. Several instances run behind a load balancer; it asks B for the balance
 * and has C withdraw.
 *
 *   POST /pay?id=I&user=U&amount=N      once for each id, if the money is there     (P1, P2)
 *   POST /sweep?id=I&user=U             a tenth of what is there, decided on B's answer     (P3)
 *   POST /spend?id=I&user=U&amount=N    from one balance that everybody wants     (P17)
 *
 * 200 done, 402 refused, 409 gave up, 503 unknown; "retries=N" tells how often it began anew.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/call.h"
#include "common/database.h"
#include "common/service.h"

#define MUTEXES     64   /* users share them by hash */
#define SPEND_TRIES 5    /* as retry policies have it */
#define SWEEP_TRIES 1000 /* a bound, never met */
#define TEXT_BYTES  64

struct payment {
    const char *id, *user;
    long long amount;
};

/* A mutex for each user, so that no two requests of one user run at once: in this instance. */
static pthread_mutex_t *mutex_of(const char *user)
{
    static pthread_mutex_t mutexes[MUTEXES];
    unsigned hash = 5381;
    for (; *user != '\0'; user++) {
        hash = hash * 33 + (unsigned char)*user;
    }
    return &mutexes[hash % MUTEXES];
}

static int ask_balance(struct reply *reply, const char *user)
{
    return call(reply, "GET", "%s/balance?user=%s", service_peer("balance"), user);
}

static int ask_withdrawal(struct reply *reply, const struct payment *p)
{
    return call(reply, "POST", "%s/withdraw?id=%s&user=%s&amount=%lld", service_peer("charge"),
                p->id, p->user, p->amount);
}

/* B's word, then C's deed. 0: no answer. */
static int check_and_withdraw(const struct payment *p)
{
    struct reply reply;
    if (ask_balance(&reply, p->user) != 200) {
        return 0;
    }
    return reply_number(&reply, "available") < p->amount ? 402 : ask_withdrawal(&reply, p);
}

/* Remembers ids that were answered, and answers them the same again. */
static void pay_naive(struct request *request, const struct payment *p)
{
    long long status;
    pthread_mutex_t *mutex = mutex_of(p->user);
    (void)pthread_mutex_lock(mutex);
    if (!database_number(&status, "SELECT status FROM requests WHERE id = ?", "t", p->id)) {
        status = check_and_withdraw(p);
        if (status == 200 || status == 402) {
            (void)database_change("INSERT OR IGNORE INTO requests VALUES (?, ?)", "tn", p->id,
                                  status);
        }
    }
    (void)pthread_mutex_unlock(mutex);
    respond(request, status == 0 ? 503 : (int)status, "retries=0");
}

/* Nothing to look up, lock or remember: C's commit checks, acts and remembers. */
static void pay_holdfast(struct request *request, const struct payment *p)
{
    struct reply reply;
    int status = ask_withdrawal(&reply, p);
    respond(request, status == 0 ? 503 : status, "retries=0 %s", reply.text);
}

static void sweep_naive(struct request *request, struct payment *p)
{
    struct reply reply;
    if (ask_balance(&reply, p->user) != 200) {
        respond(request, 503, "no balance");
        return;
    }
    p->amount = reply_number(&reply, "available") / 10;
    int status = p->amount <= 0 ? 402 : ask_withdrawal(&reply, p);
    respond(request, status == 0 ? 503 : status, "retries=0");
}

/* "modified_at=..." of a reply. */
static void take_time(const struct reply *reply, char time[TEXT_BYTES])
{
    const char *found = strstr(reply->text, "modified_at=");
    time[0] = '\0';
    if (found != NULL) {
        (void)sscanf(found, "modified_at=%63s", time);
    }
}

/* The time of the balance that the decision looked at goes with it. If that is not the account's any more, the
 * refusal carries the balance to decide on next. A refusal spends its id, so each try has its own. */
static void sweep_holdfast(struct request *request, const struct payment *p)
{
    struct reply reply;
    char time[TEXT_BYTES];
    int status = ask_balance(&reply, p->user);
    int tries = 0;
    while (status == (tries == 0 ? 200 : 409) && tries < SWEEP_TRIES) {
        take_time(&reply, time);
        status = call(&reply, "POST", "%s/withdraw?id=%s.%d&user=%s&amount=%lld&modified_at=%s",
                      service_peer("charge"), p->id, tries, p->user,
                      reply_number(&reply, "available") / 10, time);
        tries++;
    }
    respond(request, status == 0 || tries == 0 ? 503 : status, "retries=%d", tries - 1);
}

/* Optimistic locking: nothing must have changed since the look. */
static void spend_naive(struct request *request, const struct payment *p)
{
    struct reply reply;
    for (int retries = 0; retries < SPEND_TRIES; retries++) {
        if (ask_balance(&reply, p->user) != 200) {
            respond(request, 503, "no balance");
            return;
        }
        if (reply_number(&reply, "available") < p->amount) {
            respond(request, 402, "retries=%d", retries);
            return;
        }
        int status = call(&reply, "POST", "%s/withdraw?id=%s&user=%s&amount=%lld&version=%lld",
                          service_peer("charge"), p->id, p->user, p->amount,
                          reply_number(&reply, "version"));
        if (status != 409) {
            respond(request, status == 0 ? 503 : status, "retries=%d", retries);
            return;
        }
    }
    respond(request, 409, "retries=%d", SPEND_TRIES);
}

/* The condition that is meant: so much must be there. Others may come and go. */
static void spend_holdfast(struct request *request, const struct payment *p)
{
    struct reply reply;
    int status = call(&reply, "POST", "%s/withdraw?id=%s&user=%s&amount=%lld&at_least=%lld",
                      service_peer("charge"), p->id, p->user, p->amount, p->amount);
    /* C tells a condition that does not hold by 409: here it means that the money is not there. */
    respond(request, status == 0 ? 503 : status == 409 ? 402 : status, "retries=0");
}

static bool take_payment(struct request *request, struct payment *p)
{
    *p = (struct payment){.id = request_text(request, "id"),
                          .user = request_text(request, "user"),
                          .amount = request_number(request, "amount")};
    if (p->id[0] == '\0' || p->user[0] == '\0') {
        respond(request, 400, "id and user are needed");
        return false;
    }
    return true;
}

static void pay(struct request *request)
{
    struct payment p;
    if (take_payment(request, &p)) {
        service_settings()->naive ? pay_naive(request, &p) : pay_holdfast(request, &p);
    }
}

static void sweep(struct request *request)
{
    struct payment p;
    if (take_payment(request, &p)) {
        service_settings()->naive ? sweep_naive(request, &p) : sweep_holdfast(request, &p);
    }
}

static void spend(struct request *request)
{
    struct payment p;
    if (take_payment(request, &p)) {
        service_settings()->naive ? spend_naive(request, &p) : spend_holdfast(request, &p);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {
        {"POST", "/pay", pay}, {"POST", "/sweep", sweep}, {"POST", "/spend", spend}};
    return service_run(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
