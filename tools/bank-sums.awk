# Per-account sums of the bank's transactions in minor units, independent of Holdfast:
#
#   awk -f tools/bank-sums.awk trans.asc | sort -n        account_id <TAB> sum
#
# A row is whole if it has ten fields and an amount with two decimals; PRIJEM is a credit, VYDAJ and
# VYBER are debits. Sums stay far below 2^53, where awk's numbers are exact.
BEGIN { FS = ";"; OFS = "\t" }
{ sub(/\r$/, "") }
NR == 1 && $1 == "\"trans_id\"" { next }
NF == 10 && $6 ~ /^[0-9]+\.[0-9][0-9]$/ {
    minor = $6
    sub(/\./, "", minor)
    if ($4 == "\"PRIJEM\"") {
        sum[$2] += minor
        next
    }
    if ($4 == "\"VYDAJ\"" || $4 == "\"VYBER\"") {
        sum[$2] -= minor
        next
    }
}
END {
    for (account in sum) {
        printf "%s\t%.0f\n", account, sum[account]
    }
}
