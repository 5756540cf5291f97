// What ffcv 1.0.2's libffcv.cpp uses of OpenCV: views of uint8 images of three channels, and
// cv::resize with INTER_AREA. Shrinking averages over the area that a pixel covers; enlarging repeats
// a pixel and blends two where one covers both, which is the same rule.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#define CV_8UC3 16

namespace cv {

enum { INTER_AREA = 3 };

struct Size {
    int width, height;
};

struct Mat {
    int rows, cols;
    uint8_t *data;
    size_t step;

    Mat(int rows, int cols, int, void *data)
        : rows(rows), cols(cols), data(static_cast<uint8_t *>(data)), step(3 * static_cast<size_t>(cols)) {}

    Mat colRange(int begin, int end) const
    {
        Mat part = *this;
        part.data += 3 * static_cast<size_t>(begin), part.cols = end - begin;
        return part;
    }

    Mat rowRange(int begin, int end) const
    {
        Mat part = *this;
        part.data += step * static_cast<size_t>(begin), part.rows = end - begin;
        return part;
    }

    Size size() const { return {cols, rows}; }
};

// Output k covers [k, k + 1) * from / to of the source; its weights are the shares of that.
struct Shares {
    std::vector<int> first, count;
    std::vector<float> weight;
    size_t most;

    Shares(int from, int to) : first(to), count(to), most(static_cast<size_t>(from / to) + 3)
    {
        weight.resize(most * static_cast<size_t>(to));
        double covered = static_cast<double>(from) / to;
        for (int k = 0; k < to; k++) {
            double low = k * covered, high = low + covered;
            first[k] = static_cast<int>(low);
            int end = std::min(from, static_cast<int>(std::ceil(high - 1e-9)));
            count[k] = std::max(1, end - first[k]);
            for (int i = 0; i < count[k]; i++) {
                double at = first[k] + i, share = std::min(high, at + 1) - std::max(low, at);
                weight[most * static_cast<size_t>(k) + static_cast<size_t>(i)] = static_cast<float>(share / covered);
            }
        }
    }
};

inline void resize(const Mat &from, Mat &to, Size, double, double, int)
{
    Shares across(from.cols, to.cols), down(from.rows, to.rows);
    std::vector<float> row(3 * static_cast<size_t>(from.cols));
    for (int y = 0; y < to.rows; y++) {
        std::fill(row.begin(), row.end(), 0.0f);
        for (int i = 0; i < down.count[y]; i++) {
            float weight = down.weight[down.most * y + i];
            const uint8_t *source = from.data + from.step * (down.first[y] + i);
            for (size_t x = 0; x < row.size(); x++) row[x] += weight * source[x];
        }
        uint8_t *out = to.data + to.step * y;
        for (int x = 0; x < to.cols; x++)
            for (int channel = 0; channel < 3; channel++) {
                float sum = 0.5f;
                for (int i = 0; i < across.count[x]; i++)
                    sum += across.weight[across.most * x + i] * row[3 * (across.first[x] + i) + channel];
                out[3 * x + channel] = static_cast<uint8_t>(sum);
            }
    }
}

}  // namespace cv
