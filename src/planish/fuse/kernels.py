"""CUDA source of `planish.fuse.device`: one pass over the GPU's memory where array functions would take many.

Every pixel is summed in one order, so it gets the same bits wherever in a window it lies.
"""

from __future__ import annotations

OUTPUTS = 9
"""Neighbouring pixels that a thread of `rows` or `columns` sums; odd, so that no two of a warp share a memory bank."""

INSIDE = "__device__ __forceinline__ int inside(int at, int size) { return min(max(at, 0), size - 1); }"
"""The border repeats the edge: what kernels use that look at neighbours."""

SOURCE = (
    f"#define OUTPUTS {OUTPUTS}\n{INSIDE}"
    r"""
template <typename T> struct Exact { typedef unsigned Value; typedef unsigned long long Sum; };
template <> struct Exact<float> { typedef double Value; typedef double Sum; };
template <> struct Exact<double> { typedef double Value; typedef double Sum; };

// widths[|dy|] is how far the ellipse reaches to each side in a row; scale is 1 / count^2.
template <typename T>
__device__ __forceinline__ void ellipse(const T* image, const int* widths, int reach, int count, double scale,
                                        int height, int width, float* result) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    typename Exact<T>::Sum total = 0, square = 0;
    for (int dy = -reach; dy <= reach; ++dy) {
        const T* row = image + (long long)inside(y + dy, height) * width;
        const int side = widths[abs(dy)];
        for (int dx = -side; dx <= side; ++dx) {
            const typename Exact<T>::Value value = row[inside(x + dx, width)];
            total += value;
            square += value * value;
        }
    }
    // Never contracted to a fused multiply-add: the host rounds both products.
    const double sum = (double)total;
    const double wide = __dsub_rn(__dmul_rn((double)square, (double)count), __dmul_rn(sum, sum));
    result[(long long)y * width + x] = (float)__dmul_rn(wide, scale);
}

#define VARIANCE(NAME, T)                                                                                            \
    extern "C" __global__ void variance_##NAME(const T* image, const int* widths, int reach, int count, double scale, \
                                               int height, int width, float* result) {                               \
        ellipse(image, widths, reach, count, scale, height, width, result);                                          \
    }
VARIANCE(uint8, unsigned char)
VARIANCE(uint16, unsigned short)
VARIANCE(float32, float)
VARIANCE(float64, double)

// sums[j] = sum of taps[k] * load(j + k), k = 0 ... 2 radius; OUTPUTS - 1 zeros follow the taps.
template <typename Load>
__device__ __forceinline__ void correlate(const float* taps, int radius, float* sums, Load load) {
    float window[OUTPUTS];
    #pragma unroll
    for (int j = 0; j < OUTPUTS; ++j) window[j] = sums[j] = 0;
    #pragma unroll OUTPUTS
    for (int i = 0; i < 2 * radius + OUTPUTS; ++i) {
        #pragma unroll
        for (int j = OUTPUTS - 1; j > 0; --j) window[j] = window[j - 1];
        window[0] = taps[i];
        const float value = load(i);
        #pragma unroll
        for (int j = 0; j < OUTPUTS; ++j) sums[j] = fmaf(window[j], value, sums[j]);
    }
}

extern "C" __global__ void rows(const float* image, const float* taps, int radius, int width, float* result) {
    extern __shared__ float part[];
    const int first = blockIdx.y * blockDim.x * OUTPUTS, own = threadIdx.x * OUTPUTS;
    const long long row = (long long)blockIdx.x * width;
    for (int i = threadIdx.x; i < (int)blockDim.x * OUTPUTS + 2 * radius; i += blockDim.x)
        part[i] = image[row + inside(first + i - radius, width)];
    __syncthreads();
    float sums[OUTPUTS];
    correlate(taps, radius, sums, [&](int i) { return part[own + i]; });
    for (int j = 0; j < OUTPUTS; ++j)
        if (first + own + j < width) result[row + first + own + j] = sums[j];
}

extern "C" __global__ void columns(const float* image, const float* taps, int radius, int height, int width,
                                   float* result) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = (blockIdx.y * blockDim.y + threadIdx.y) * OUTPUTS;
    if (x >= width || first >= height) return;
    float sums[OUTPUTS];
    correlate(taps, radius, sums,
              [&](int i) { return image[(long long)inside(first + i - radius, height) * width + x]; });
    for (int j = 0; j < OUTPUTS; ++j)
        if (first + j < height) result[(long long)(first + j) * width + x] = sums[j];
}
"""
)
"""For `cupy.RawModule`: float32 images of the size (height, width), rows side by side without gaps."""

# Each of the following is what goes in, what is changed, and what is done to each pixel i: `cupy.ElementwiseKernel`.

LUMA = ("T red, T green, T blue", "float32 grey", "grey = fmaf(blue, 0.114f, fmaf(red, 0.299f, 0.587f * (float)green))")

SHARPEST = (
    "float32 measure, raw T pixels, int16 plane, int32 channels",
    "float32 best, int16 index, raw T image",
    """
    if (measure > best) {
        best = measure;
        index = plane;
        for (int c = 0; c < channels; ++c) image[i * channels + c] = pixels[i * channels + c];
    }
    """,
)

BLEND = (
    "float32 measure, raw T pixels, float32 plane, float32 power, float32 nothing, int32 channels",
    "float32 top, float32 weight, raw float32 sum",
    """
    const float here = fmaxf(measure, nothing), higher = fmaxf(top, here);
    float fade = top / higher, share = here / higher;
    if (power == 4) {
        fade *= fade;
        share *= share;
        fade *= fade;
        share *= share;
    } else {
        fade = powf(fade, power);
        share = powf(share, power);
    }
    top = higher;
    weight = fmaf(weight, fade, share);
    for (int c = 0; c < channels; ++c)
        sum[i * channels + c] = fmaf(sum[i * channels + c], fade, share * (float)pixels[i * channels + c]);
    """,
)

BLEND_DEPTH = (BLEND[0], f"{BLEND[1]}, float32 depth", f"{BLEND[2]} depth = fmaf(depth, fade, share * plane);")

GROW = (
    "raw float32 image, int32 height, int32 width, int32 factor",
    "float32 grown",
    """
    // In steps of half a grown pixel from the middle of the small one before: at 0, factor is half of the way.
    const int row = i / (width * factor), column = i % (width * factor), step = 2 * factor;
    const int at_y = 2 * row + 1 + factor, at_x = 2 * column + 1 + factor;
    const int y0 = inside(at_y / step - 1, height), y1 = inside(at_y / step, height);
    const int x0 = inside(at_x / step - 1, width), x1 = inside(at_x / step, width);
    const float down = (float)(at_y % step) / step, right = (float)(at_x % step) / step;
    const float upper = fmaf(image[y0 * width + x1], right, image[y0 * width + x0] * (1 - right));
    const float lower = fmaf(image[y1 * width + x1], right, image[y1 * width + x0] * (1 - right));
    grown = fmaf(lower, down, upper * (1 - down));
    """,
)

REDUCE = (
    "raw float32 image, int32 height, int32 width, int32 channels",
    "float32 small",
    """
    const int wide = (width + 1) / 2, channel = i % channels;
    const int x = i / channels % wide * 2, y = i / channels / wide * 2;
    const float taps[5] = {1, 4, 6, 4, 1};
    float sum = 0;
    for (int dy = 0; dy < 5; ++dy) {
        const ptrdiff_t row = (ptrdiff_t)inside(y + dy - 2, height) * width;
        float part = 0;
        for (int dx = 0; dx < 5; ++dx)
            part = fmaf(taps[dx], image[(row + inside(x + dx - 2, width)) * channels + channel], part);
        sum = fmaf(taps[dy], part, sum);
    }
    small = sum / 256;
    """,
)

EXPAND = (
    "raw float32 image, int32 height, int32 width, int32 wide, int32 channels",
    "float32 large",
    """
    const int channel = i % channels, x = i / channels % wide, y = i / channels / wide;
    // An even pixel lies on one of the image, an odd one between two.
    const float taps[2][3] = {{1, 6, 1}, {0, 4, 4}};
    float sum = 0;
    for (int dy = 0; dy < 3; ++dy) {
        const ptrdiff_t row = (ptrdiff_t)inside(y / 2 + dy - 1, height) * width;
        float part = 0;
        for (int dx = 0; dx < 3; ++dx)
            part = fmaf(taps[x & 1][dx], image[(row + inside(x / 2 + dx - 1, width)) * channels + channel], part);
        sum = fmaf(taps[y & 1][dy], part, sum);
    }
    large = sum / 64;
    """,
)
