/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interval.c - owns the distribution functions of gamma and beta, and their inverses: all intervals
 * are made of these.
 *
 * The functions are sums of their power series below the mean and continued fractions above it
 * (Abramowitz and Stegun 6.5.29, 6.5.31 and 26.5.8); the inverses are found by Newton's steps
 * inside of a bracket, which halve it where a step would leave it.
 */
#include "lab/interval.h"
#include <math.h>

#define TERMS_MAX 200000
#define STEPS_MAX 200
#define PRECISION 1e-14
#define TINY 1e-300
#define MANY 1e6 /* beyond, a count is as good as normal */

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* --- distribution functions ----------------------------------------------------------------- */

static double gamma_density(double shape, double x)
{
    return x > 0 ? exp((shape - 1) * log(x) - x - log_gamma(shape)) : 0;
}

/* The value of a continued fraction b0 + a1 / (b1 + a2 / (b2 + ... by its convergents' quotients.
 */
struct fraction {
    double value, c, d;
};

static struct fraction fraction_begin(double b)
{
    double value = fabs(b) < TINY ? TINY : b;
    return (struct fraction){value, value, 0};
}

/* False: the term changed nothing any more. */
static bool fraction_add(struct fraction *f, double a, double b)
{
    f->d = b + a * f->d;
    f->d = 1 / (fabs(f->d) < TINY ? TINY : f->d);
    f->c = b + a / f->c;
    f->c = fabs(f->c) < TINY ? TINY : f->c;
    f->value *= f->c * f->d;
    return fabs(f->c * f->d - 1) > PRECISION;
}

/* P(X <= x) of a gamma distribution with scale 1. */
static double gamma_below(double shape, double x)
{
    if (x <= 0)
        return 0;
    double front = exp(shape * log(x) - x - log_gamma(shape));
    if (x < shape + 1) {
        double term = 1 / shape, sum = term;
        for (uint32_t n = 1; n < TERMS_MAX && term > sum * PRECISION; n++) {
            term *= x / (shape + n);
            sum += term;
        }
        return fmin(1, front * sum);
    }
    struct fraction f = fraction_begin(x + 1 - shape);
    for (uint32_t n = 1; n < TERMS_MAX; n++)
        if (!fraction_add(&f, -(double)n * (n - shape), x + 1 - shape + 2 * n))
            break;
    return fmax(0, 1 - front / f.value);
}

static double beta_density(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return 0;
    return exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + (a - 1) * log(x) +
               (b - 1) * log1p(-x));
}

/* P(X <= x) of a beta distribution. */
static double beta_below(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - beta_below(b, a, 1 - x);
    struct fraction f = fraction_begin(1);
    for (uint32_t n = 1; n < TERMS_MAX; n++) {
        double m = n / 2, top;
        if (n % 2 == 0)
            top = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        else
            top = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        if (!fraction_add(&f, top, 1))
            break;
    }
    return beta_density(a, b, x) * x * (1 - x) / (a * f.value);
}

/* --- their inverses ------------------------------------------------------------------------- */

typedef double (*shape_fn)(double a, double b, double x);

static double gamma_below_ab(double shape, double unused, double x)
{
    (void)unused;
    return gamma_below(shape, x);
}

static double gamma_density_ab(double shape, double unused, double x)
{
    (void)unused;
    return gamma_density(shape, x);
}

/* Where a rising function is @chance, between @low and @high. */
static double inverse(shape_fn below, shape_fn density, double a, double b, double chance,
                      double low, double high, double first)
{
    double x = first;
    for (uint32_t step = 0; step < STEPS_MAX && high - low > PRECISION * high; step++) {
        double off = below(a, b, x) - chance, slope = density(a, b, x);
        if (off > 0)
            high = x;
        else
            low = x;
        double next = slope > 0 ? x - off / slope : low;
        if (!(next > low && next < high))
            next = low + (high - low) / 2;
        if (fabs(next - x) <= PRECISION * x)
            return next;
        x = next;
    }
    return x;
}

/* The standard normal distribution's, for chances in its lower half. */
static double normal_quantile(double chance)
{
    double low = -40, high = 0;
    for (uint32_t step = 0; step < STEPS_MAX && high - low > PRECISION; step++) {
        double x = (low + high) / 2;
        if (erfc(-x / sqrt(2)) / 2 > chance)
            high = x;
        else
            low = x;
    }
    return (low + high) / 2;
}

static double gamma_quantile(double shape, double chance)
{
    if (shape > MANY) { /* E. B. Wilson, M. M. Hilferty, PNAS 17 (1931) 684-688 */
        double z = chance <= 0.5 ? normal_quantile(chance) : -normal_quantile(1 - chance);
        double root = 1 - 1 / (9 * shape) + z / (3 * sqrt(shape));
        return shape * root * root * root;
    }
    double high = shape + 1;
    while (gamma_below(shape, high) < chance)
        high *= 2;
    return inverse(gamma_below_ab, gamma_density_ab, shape, 0, chance, 0, high,
                   fmin(shape, high / 2));
}

static double beta_quantile(double a, double b, double chance)
{
    return inverse(beta_below, beta_density, a, b, chance, 0, 1, a / (a + b));
}

/* --- intervals ------------------------------------------------------------------------------ */

/* E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209-212. */
static struct lab_interval share_of_many(double hits, double count, double alpha)
{
    double z = -normal_quantile(alpha / 2), share = hits / count, square = z * z / count;
    double middle = (share + square / 2) / (1 + square);
    double half = z * sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square);
    return (struct lab_interval){middle - half, middle + half};
}

struct lab_interval interval_share(uint64_t hits, uint64_t count, double alpha)
{
    ASSERT(count > 0 && hits <= count);
    ASSERT(alpha > 0 && alpha < 1);
    double k = (double)hits, n = (double)count;
    if (k > MANY && n - k > MANY)
        return share_of_many(k, n, alpha);
    return (struct lab_interval){
        .low = hits > 0 ? beta_quantile(k, n - k + 1, alpha / 2) : 0,
        .high = hits < count ? beta_quantile(k + 1, n - k, 1 - alpha / 2) : 1,
    };
}

struct lab_interval interval_sum(double sum, double squares, double weight_max, double alpha)
{
    ASSERT(sum >= 0 && squares >= 0 && weight_max > 0);
    ASSERT(alpha > 0 && alpha < 1);
    double more = sum + weight_max, more_squares = squares + weight_max * weight_max;
    struct lab_interval i = {.low = 0};
    if (sum > 0 && squares > 0)
        i.low = squares / sum * gamma_quantile(sum * sum / squares, alpha / 2);
    i.high = more_squares / more * gamma_quantile(more * more / more_squares, 1 - alpha / 2);
    return i;
}

struct lab_interval interval_mean(double mean, double sd, uint64_t count, double alpha)
{
    ASSERT(count >= 2 && sd >= 0);
    ASSERT(alpha > 0 && alpha < 1);
    double freedom = (double)count - 1, t;
    if (freedom > MANY) {
        t = -normal_quantile(alpha / 2);
    } else {
        double x = beta_quantile(freedom / 2, 0.5, alpha);
        t = sqrt(freedom * (1 - x) / x);
    }
    double half = t * sd / sqrt((double)count);
    return (struct lab_interval){mean - half, mean + half};
}
