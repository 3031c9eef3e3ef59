/*
 * The store's notification service: a mail for each confirmed order. A row is a mail that went out; a real one would hand
 * it to a mail server with the row's number as the message's id.
 *
 *   POST /mail   action, behind the pivot: it is not undone, only tried until it is done
 */
#include "common/database.h"
#include "store/step.h"

static bool send_mail(struct work *work)
{
    (void)database_change("INSERT INTO mails (order_id, customer, payment) VALUES (?, ?, ?)", "ttn",
                          work->order, work->customer, work->payment);
    return database_number(&work->number, "SELECT max(number) FROM mails", "");
}

static void mail(struct request *request)
{
    static const struct step step = {.name = "mail", .work = send_mail};
    step_handle(request, &step);
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/mail", mail}};
    return step_service(argc, argv, routes, 1);
}
