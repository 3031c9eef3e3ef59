/*
 * The store's payment service, for where there is no Node.js: payment.mjs does the same, and is the example.
 *
 *   POST /charge   action: 200, or 422 no funds      POST /refund   its compensation
 */
#include "common/database.h"
#include "store/step.h"

static void book(struct work *work, long long amount)
{
    (void)database_change("INSERT INTO payments (order_id, customer, amount) VALUES (?, ?, ?)",
                          "ttn", work->order, work->customer, amount);
    (void)database_number(&work->number, "SELECT max(number) FROM payments", "");
}

static bool take(struct work *work)
{
    work->refusal = "no funds";
    if (database_change("UPDATE wallets SET money = money - ?1 WHERE customer = ?2 AND money >= ?1",
                        "nt", work->amount, work->customer) == 0) {
        return false;
    }
    book(work, work->amount);
    return true;
}

static bool give_back(struct work *work)
{
    (void)database_change("UPDATE wallets SET money = money + ? WHERE customer = ?", "nt",
                          work->amount, work->customer);
    book(work, -work->amount);
    return true;
}

static void charge(struct request *request)
{
    static const struct step step = {.name = "charge", .work = take};
    step_handle(request, &step);
}

static void refund(struct request *request)
{
    static const struct step step = {.name = "refund", .undo = true, .work = give_back};
    step_handle(request, &step);
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/charge", charge}, {"POST", "/refund", refund}};
    return step_service(argc, argv, routes, 2);
}
