/* What the work costs when it is written by hand, with nothing around it: the yardstick of the table.
 * Compiled by the script with -O3 -ffp-contract=off, like the engine. Seeds are simplified where only
 * the running cost counts. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct { double alpha, keep, value; } Ema;

static inline double ema_step(Ema *s, double x) {
    s->value = x * s->alpha + s->value * s->keep;
    return s->value;
}

static Ema ema_new(int period, double first) {
    double alpha = 2.0 / (period + 1.0);
    Ema made = {alpha, 1.0 - alpha, first};
    return made;
}

typedef struct { double gain, loss, last, keep, share; } Rsi;

static inline double rsi_step(Rsi *s, double x) {
    double change = x - s->last, up = change > 0.0 ? change : 0.0, down = up - change, both;
    s->last = x;
    s->gain = s->gain * s->keep + up * s->share;
    s->loss = s->loss * s->keep + down * s->share;
    both = s->gain + s->loss;
    return both < 1e-14 ? 0.0 : 100.0 * (s->gain / both);
}

static Rsi rsi_new(int period, double first) {
    Rsi made = {0.0, 0.0, first, (period - 1.0) / period, 1.0 / period};
    return made;
}

void loop_ema(const double *x, double *out, size_t n) {
    Ema s = ema_new(21, x[0]);
    for (size_t i = 0; i < n; i++) out[i] = ema_step(&s, x[i]);
}

void loop_rsi(const double *x, double *out, size_t n) {
    Rsi s = rsi_new(14, x[0]);
    for (size_t i = 0; i < n; i++) out[i] = rsi_step(&s, x[i]);
}

void loop_macd(const double *x, double *out, size_t n) {
    Ema fast = ema_new(12, x[0]), slow = ema_new(26, x[0]), trail = ema_new(9, 0.0);
    for (size_t i = 0; i < n; i++) {
        double line = ema_step(&fast, x[i]) - ema_step(&slow, x[i]);
        double signal = ema_step(&trail, line);
        out[i] = line;
        out[n + i] = signal;
        out[2 * n + i] = line - signal;
    }
}

void loop_atr(const double *high, const double *low, const double *close, double *out, size_t n) {
    double value = high[0] - low[0], last = close[0];
    for (size_t i = 0; i < n; i++) {
        double top = high[i] > last ? high[i] : last, bottom = low[i] < last ? low[i] : last;
        value += ((top - bottom) - value) / 14.0;
        last = close[i];
        out[i] = value;
    }
}

/* EMA, RSI and MACD with a stop and a target in ATRs: no orders, fills at the close, no charges. */
int64_t loop_strategy(const double *ohlcv, size_t n, double *profit) {
    const double *high = ohlcv + n, *low = ohlcv + 2 * n, *close = ohlcv + 3 * n;
    Ema ema = ema_new(9, close[0]), fast = ema_new(12, close[0]), slow = ema_new(26, close[0]);
    Ema trail = ema_new(9, 0.0);
    Rsi rsi = rsi_new(14, close[0]);
    double atr = high[0] - low[0], last = close[0], stop = 0, target = 0, entry = 0, total = 0;
    int64_t trades = 0;
    int held = 0;
    for (size_t i = 0; i < n; i++) {
        double x = close[i], top = high[i] > last ? high[i] : last, mean, strength, line, hist;
        double bottom = low[i] < last ? low[i] : last;
        atr += ((top - bottom) - atr) * (1.0 / 14.0);
        last = x;
        mean = ema_step(&ema, x);
        strength = rsi_step(&rsi, x);
        line = ema_step(&fast, x) - ema_step(&slow, x);
        hist = line - ema_step(&trail, line);
        if (held) {
            double leave = 0;
            if (held > 0) leave = low[i] <= stop ? stop : high[i] >= target ? target : 0;
            else leave = high[i] >= stop ? stop : low[i] <= target ? target : 0;
            if (leave == 0) continue;
            total += held * (leave - entry);
            trades++;
            held = 0;
        }
        held = (x > mean && strength > 60 && hist > 0) - (x < mean && strength < 40 && hist < 0);
        if (held) {
            entry = x;
            stop = x - held * 1.5 * atr;
            target = x + held * 3.0 * atr;
        }
    }
    *profit = total;
    return trades;
}

#pragma pack(push, 1)
typedef struct {
    int64_t exch_ns, recv_ns, price, bid, ask;
    uint64_t volume;
    uint32_t instrument, qty, bid_qty, ask_qty, oi, flags;
} Tick;
#pragma pack(pop)
typedef struct { int64_t start, open, high, low, close, volume; } MinuteBar;

size_t loop_bars(const Tick *ticks, size_t n, MinuteBar *out) {
    size_t count = 0;
    int64_t end = 0;
    MinuteBar *bar = out;
    for (size_t i = 0; i < n; i++) {
        int64_t at = ticks[i].exch_ns, price = ticks[i].price;
        if (at >= end) {
            bar = out + count++;
            bar->start = at - at % 60000000000LL;
            end = bar->start + 60000000000LL;
            bar->open = bar->high = bar->low = price;
            bar->volume = 0;
        }
        bar->high = price > bar->high ? price : bar->high;
        bar->low = price < bar->low ? price : bar->low;
        bar->close = price;
        bar->volume += ticks[i].qty;
    }
    return count;
}

/* A book as an array of quantities by tick around a fixed base, best tracked on both sides. */
enum { SPAN = 1 << 16 };
typedef struct { int64_t price; uint32_t qty, orders; int32_t side, spare; } Delta;

int64_t loop_book(const Delta *deltas, size_t n, int64_t base, uint32_t *bids, uint32_t *asks) {
    int bid = -1, ask = SPAN;
    int64_t sum = 0;
    memset(bids, 0, SPAN * sizeof *bids);
    memset(asks, 0, SPAN * sizeof *asks);
    for (size_t i = 0; i < n; i++) {
        int at = (int)((deltas[i].price - base) / 5);
        if (deltas[i].side > 0) {
            bids[at] = deltas[i].qty;
            if (deltas[i].qty && at > bid) bid = at;
            while (bid >= 0 && !bids[bid]) bid--;
        } else {
            asks[at] = deltas[i].qty;
            if (deltas[i].qty && at < ask) ask = at;
            while (ask < SPAN && !asks[ask]) ask++;
        }
        sum += bid + ask;
    }
    return sum;
}
