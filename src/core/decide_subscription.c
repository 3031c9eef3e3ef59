/* Operations on subscriptions. */
#include "core/decide_priv.h"

enum hf_step hf_decide_subscription_op(struct hf_deciding *d, const struct hf_op *op)
{
    (void)op;
    return hf_refuse(d, HF_ERR_SUBSCRIPTION_NOT_FOUND, HF_KIND_NONE, NULL);
}

enum hf_step hf_test_receipt(struct hf_deciding *d, const struct hf_condition *condition)
{
    (void)condition;
    return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_NONE, NULL);
}

enum hf_step hf_book_subscription(struct hf_deciding *d, const struct hf_name *name)
{
    (void)d;
    (void)name;
    return STEP_OK;
}

void hf_gather_subscription(struct hf_deciding *d, const struct hf_op *op)
{
    (void)d;
    (void)op;
}
