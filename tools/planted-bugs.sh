#!/bin/sh
# Builds the simulator once for each planted bug (meson option planted_bug) and runs seeds until one
# is caught. Each must be: by a difference between the node and the model, or by an invariant.
#
#   tools/planted-bugs.sh [BUG...]       all of them by default
#
# RUNS is the number of seeds at most (500; 1000 of sagas), SEED (1) the first one. Exit status 1 if one is
# not caught.
set -eu
cd "$(dirname "$0")/.."
seed=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

if [ $# -eq 0 ]; then
    set -- answer_before_durable dedupe_off floor_ignores_pending show_run_ahead \
        ambiguous_is_failure fenced_ignored refused_id_usable half_chain checkpoint_position \
        merge_drops_ids merge_drops_live_keys order_off stale_ack_accepted prefetched_try_counted cursor_before_messages \
        saga_timeout_no_compensation saga_late_answer_counts saga_next_before_durable \
        saga_completed_overwritten saga_unknown_not_compensated
fi
status=0
meson setup "$work/build" -Dbuildtype=release >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
for bug in "$@"; do
    meson configure "$work/build" "-Dplanted_bug=$bug"
    if ! ninja -C "$work/build" -j "${JOBS:-2}" tests/sim/holdfast-sim >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        exit 1
    fi
    # Sagas have runs of their own.
    case $bug in
    saga_*) sagas=--sagas runs=${RUNS:-1000} ;;
    *) sagas='' runs=${RUNS:-500} ;;
    esac
    # shellcheck disable=SC2086
    if "$work/build/tests/sim/holdfast-sim" $sagas --seed "$seed" --runs "$runs" >"$work/said" 2>&1 ||
        ! grep -q '^FAILED' "$work/said"; then
        printf 'NOT CAUGHT  %s: %s seeds were clean\n' "$bug" "$runs"
        status=1
    else
        printf 'caught  %s\n' "$bug"
        grep '^FAILED' "$work/said" | sed 's/^/        /'
    fi
done
exit $status
