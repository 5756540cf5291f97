#include "resample.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The hot loops exist twice on x86: for every machine, and for AVX2; the loader picks. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define DISPATCHED __attribute__((target_clones("avx2", "default")))
#else
#define DISPATCHED
#endif

static int padded(int count) { return (count + STRIP - 1) / STRIP * STRIP; }

size_t strip_scratch(const axis_t *across) { return (size_t)padded(across->high - across->low) * STRIP * 2; }

/* Weighted sum of `taps` rows, four at a time. */
DISPATCHED
static void sum_rows(const uint8_t *restrict rows, size_t stride, const float *restrict weights, int taps, int width,
                     float *restrict sum)
{
    int k = taps % 4;
    if (k == 1)
        for (int x = 0; x < width; x++) sum[x] = weights[0] * rows[x];
    else if (k == 2)
        for (int x = 0; x < width; x++) sum[x] = weights[0] * rows[x] + weights[1] * rows[stride + x];
    else if (k == 3)
        for (int x = 0; x < width; x++)
            sum[x] = weights[0] * rows[x] + weights[1] * rows[stride + x] + weights[2] * rows[2 * stride + x];
    else
        memset(sum, 0, sizeof *sum * (size_t)width);
    for (; k < taps; k += 4) {
        const uint8_t *a = rows + (size_t)k * stride, *b = a + stride, *c = b + stride, *d = c + stride;
        const float p = weights[k], q = weights[k + 1], r = weights[k + 2], s = weights[k + 3];
        for (int x = 0; x < width; x++) sum[x] += p * a[x] + q * b[x] + r * c[x] + s * d[x];
    }
}

typedef float four_t __attribute__((vector_size(16), aligned(4)));
typedef float strip_t __attribute__((vector_size(4 * STRIP), aligned(4)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, p, q, r, s) __builtin_shufflevector(a, b, p, q, r, s)
#else
#define SHUFFLE(a, b, p, q, r, s) __builtin_shuffle(a, b, (__typeof__(int __attribute__((vector_size(16))))){p, q, r, s})
#endif

/* turned[x][row] from eight rows, in blocks of four by four. */
static void turn(const float *restrict rows, int width, float (*restrict turned)[STRIP])
{
    for (int x = 0; x < width; x += 4)
        for (int r = 0; r < STRIP; r += 4) {
            const float *from = rows + (size_t)r * (size_t)width + x;
            const four_t *a = (const void *)from, *b = (const void *)(from + width);
            const four_t *c = (const void *)(from + 2 * (size_t)width), *d = (const void *)(from + 3 * (size_t)width);
            four_t ac_low = SHUFFLE(*a, *c, 0, 4, 1, 5), ac_high = SHUFFLE(*a, *c, 2, 6, 3, 7);
            four_t bd_low = SHUFFLE(*b, *d, 0, 4, 1, 5), bd_high = SHUFFLE(*b, *d, 2, 6, 3, 7);
            *(four_t *)(turned[x] + r) = SHUFFLE(ac_low, bd_low, 0, 4, 1, 5);
            *(four_t *)(turned[x + 1] + r) = SHUFFLE(ac_low, bd_low, 2, 6, 3, 7);
            *(four_t *)(turned[x + 2] + r) = SHUFFLE(ac_high, bd_high, 0, 4, 1, 5);
            *(four_t *)(turned[x + 3] + r) = SHUFFLE(ac_high, bd_high, 2, 6, 3, 7);
        }
}

DISPATCHED
static void sum_columns(const float (*restrict turned)[STRIP], const axis_t *across, float (*restrict strip)[STRIP])
{
    for (int x = 0; x < across->outputs; x++) {
        const strip_t *source = (const void *)turned[across->first[x] - across->low];
        const float *weights = across->weights[x];
        strip_t sum = {0};
        for (int k = 0; k < across->taps[x]; k++) sum += weights[k] * source[k];
        *(strip_t *)strip[x] = sum;
    }
}

void resample_strip(const plane_t *plane, const axis_t *across, const axis_t *down, int y, float *scratch,
                    float (*strip)[STRIP])
{
    int read = across->high - across->low, width = padded(read);
    float *rows = scratch;
    float(*turned)[STRIP] = (float(*)[STRIP])(scratch + (size_t)width * STRIP);
    for (int r = 0; r < STRIP; r++) {
        float *row = rows + (size_t)r * (size_t)width;
        if (y + r >= down->outputs || !down->taps[y + r]) {
            memset(row, 0, sizeof *row * (size_t)width);
            continue;
        }
        const uint8_t *from = plane->at + (size_t)(down->first[y + r] - plane->top) * plane->stride;
        sum_rows(from + (across->low - plane->left), plane->stride, down->weights[y + r], down->taps[y + r], read, row);
        memset(row + read, 0, sizeof *row * (size_t)(width - read));
    }
    turn(rows, width, turned);
    sum_columns(turned, across, strip);
}

DISPATCHED
void to_rgb(float (*restrict y)[STRIP], float (*restrict cb)[STRIP], float (*restrict cr)[STRIP], int width)
{
    float *restrict p = y[0], *restrict q = cb[0], *restrict s = cr[0];
    for (int k = 0; k < width * STRIP; k++) {
        float luma = p[k], blue = q[k] - 128, red = s[k] - 128;
        p[k] = luma + 1.402f * red;
        q[k] = luma - 0.344136f * blue - 0.714136f * red;
        s[k] = luma + 1.772f * blue;
    }
}

/* Eight columns, rounded and cut to 0 .. 255, as eight rows. */
#ifdef __SSE2__
static inline __m128i rounded(const float *eight)
{
    const __m128 half = _mm_set1_ps(0.5f);
    __m128i low = _mm_cvttps_epi32(_mm_add_ps(_mm_loadu_ps(eight), half));
    return _mm_packs_epi32(low, _mm_cvttps_epi32(_mm_add_ps(_mm_loadu_ps(eight + 4), half)));
}

static inline void round_block(const float (*columns)[STRIP], uint8_t block[STRIP][STRIP])
{
    __m128i pair[4], mixed[4];
    for (int k = 0; k < 4; k++) { /* columns k and k + 4, bytes in turn */
        __m128i both = _mm_packus_epi16(rounded(columns[k]), rounded(columns[k + 4]));
        pair[k] = _mm_unpacklo_epi8(both, _mm_srli_si128(both, 8));
    }
    mixed[0] = _mm_unpacklo_epi8(pair[0], pair[2]), mixed[1] = _mm_unpackhi_epi8(pair[0], pair[2]);
    mixed[2] = _mm_unpacklo_epi8(pair[1], pair[3]), mixed[3] = _mm_unpackhi_epi8(pair[1], pair[3]);
    for (int k = 0; k < 2; k++) {
        _mm_storeu_si128((__m128i *)block[4 * k], _mm_unpacklo_epi8(mixed[k], mixed[k + 2]));
        _mm_storeu_si128((__m128i *)block[4 * k + 2], _mm_unpackhi_epi8(mixed[k], mixed[k + 2]));
    }
}
#else
static inline void round_block(const float (*columns)[STRIP], uint8_t block[STRIP][STRIP])
{
    for (int k = 0; k < STRIP; k++)
        for (int r = 0; r < STRIP; r++) {
            float value = columns[k][r] + 0.5f;
            block[r][k] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
}
#endif

void store_strip(const float (*restrict strip)[STRIP], int width, int rows, uint8_t *restrict out, size_t stride)
{
    uint8_t block[STRIP][STRIP];
    int x = 0;
    for (; x + STRIP <= width; x += STRIP) {
        round_block(strip + x, block);
        for (int r = 0; r < rows; r++) memcpy(out + (size_t)r * stride + x, block[r], STRIP);
    }
    if (x == width) return;
    round_block(strip + x, block); /* a strip is padded to whole blocks */
    for (int r = 0; r < rows; r++) memcpy(out + (size_t)r * stride + x, block[r], (size_t)(width - x));
}
