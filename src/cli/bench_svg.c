/* Latency by percentile as a picture: the rarer, the further right; both axes logarithmic. */
#include <math.h>

#include "cli/bench.h"

#define WIDTH  760.0
#define HEIGHT 420.0
#define LEFT   80.0
#define RIGHT  20.0
#define TOP    50.0
#define BOTTOM 60.0
#define NINES  5.0 /* the axis ends at 99.999 % */
#define STEPS  200

struct axis {
    double low, high; /* logarithms to base 10 of the latency in ns at both ends */
};

static double x_of(double nines)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * nines / NINES;
}

static double y_of(const struct axis *axis, double ns)
{
    double share = (log10(ns < 1 ? 1 : ns) - axis->low) / (axis->high - axis->low);
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
}

static void put_text(struct hf_buffer *to, double x, double y, const char *anchor, int size,
                     const char *text)
{
    hf_buffer_format(to,
                     "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n",
                     x, y, anchor, size, text);
}

static void put_grid(struct hf_buffer *to, const struct axis *axis)
{
    static const char *const shares[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(shares); i++) {
        double x = x_of((double)i);
        hf_buffer_format(
            to, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", x, TOP,
            x, HEIGHT - BOTTOM);
        put_text(to, x, HEIGHT - BOTTOM + 18, "middle", 12, shares[i]);
    }
    for (int decade = (int)axis->low; decade <= (int)axis->high; decade++) {
        static const char *const units[] = {"1 ns",   "10 ns", "100 ns", "1 us",   "10 us",
                                            "100 us", "1 ms",  "10 ms",  "100 ms", "1 s",
                                            "10 s",   "100 s", "1000 s"};
        double y = y_of(axis, pow(10, decade));
        hf_buffer_format(
            to, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT,
            y, WIDTH - RIGHT, y);
        if (decade >= 0 && (size_t)decade < HF_ARRAY_COUNT(units)) {
            put_text(to, LEFT - 8, y + 4, "end", 12, units[decade]);
        }
    }
}

static void put_curve(struct hf_buffer *to, const struct axis *axis,
                      const struct hf_bench_latency *latency)
{
    /* As far right as there are samples: beyond that the curve would only repeat the highest one. */
    double most = latency->count < 10 ? 1 : log10((double)latency->count);
    most = most > NINES ? NINES : most;
    hf_buffer_text(to, "<polyline fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"2\" points=\"");
    for (int i = 0; i <= STEPS; i++) {
        double nines = most * i / STEPS;
        uint64_t ns = hf_bench_latency_at(latency, 1 - pow(10, -nines));
        hf_buffer_format(to, "%s%.1f,%.1f", i == 0 ? "" : " ", x_of(nines), y_of(axis, (double)ns));
    }
    hf_buffer_text(to, "\"/>\n");
}

void hf_bench_svg(const struct hf_bench_plan *plan, const struct hf_bench_result *result,
                  struct hf_buffer *to)
{
    const struct hf_bench_latency *latency = &result->latency;
    double lowest = (double)hf_max_u64(hf_bench_latency_at(latency, 0), 1);
    struct axis axis = {floor(log10(lowest)), ceil(log10((double)hf_max_u64(latency->max_ns, 10)))};
    axis.high = axis.high <= axis.low ? axis.low + 1 : axis.high;
    char title[256];
    uint64_t done = result->accepted + result->replayed + result->refused;
    (void)snprintf(title, sizeof(title), "%s: %.0f a second, latency of %llu requests %s",
                   plan->workload,
                   result->elapsed_ns == 0 ? 0.0 : (double)done * 1e9 / (double)result->elapsed_ns,
                   (unsigned long long)latency->count,
                   plan->rate > 0 ? "since they were due" : "since they were sent");
    hf_buffer_format(to,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                     "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\">\n"
                     "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                     WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(to, LEFT, 28, "start", 15, title);
    put_grid(to, &axis);
    put_curve(to, &axis, latency);
    put_text(to, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, "middle", 12,
             "share of the requests that were answered within this time");
    hf_buffer_text(to, "</svg>\n");
}
