/*
 * The store's inventory service: units of an item are reserved for an order, or given back. What is reserved for a
 * confirmed order is shipped.
 *
 *   POST /reserve   action: 200, or 422 sold out      POST /release   its compensation
 */
#include "common/database.h"
#include "store/step.h"

static void book(struct work *work, long long units)
{
    (void)database_change("INSERT INTO reservations (order_id, item, units) VALUES (?, ?, ?)",
                          "ttn", work->order, work->item, units);
    (void)database_number(&work->number, "SELECT max(number) FROM reservations", "");
}

static bool take(struct work *work)
{
    work->refusal = "sold out";
    if (database_change("UPDATE items SET stock = stock - ?1 WHERE item = ?2 AND stock >= ?1", "nt",
                        work->units, work->item) == 0) {
        return false;
    }
    book(work, work->units);
    return true;
}

static bool give_back(struct work *work)
{
    (void)database_change("UPDATE items SET stock = stock + ? WHERE item = ?", "nt", work->units,
                          work->item);
    book(work, -work->units);
    return true;
}

static void reserve(struct request *request)
{
    static const struct step step = {.name = "reserve", .work = take};
    step_handle(request, &step);
}

static void release(struct request *request)
{
    static const struct step step = {.name = "release", .undo = true, .work = give_back};
    step_handle(request, &step);
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/reserve", reserve},
                                          {"POST", "/release", release}};
    return step_service(argc, argv, routes, 2);
}
