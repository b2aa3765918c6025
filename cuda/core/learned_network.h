// The network for one splat at a time, four int8 in a word: what a device multiplies in one instruction. All sums
// fit 32 bits, so they are the same in any order.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/learned_splat.h"

namespace scenepress {

// Of one channel of the scene: the shipped hidden layer, and the file's own output layer.
struct Network {
  const int8_t* hidden;  // [kHidden, kFeatures]
  const int32_t* hidden_bias;
  const int8_t* head;  // [2, kFeatures + kHidden]
  const int32_t* head_bias;
  int32_t spreads;
};

constexpr int kFeatureWords = (kFeatures + 3) / 4, kHiddenWords = kHidden / 4;
constexpr int kUnitWords = kFeatureWords + kHiddenWords;

// The same with its weights in words, the features' filled up with zeros; small enough for a kernel's arguments.
struct PackedNetwork {
  uint32_t hidden[kHidden][kFeatureWords];
  uint32_t head[2][kUnitWords];
  int32_t hidden_bias[kHidden];
  int32_t head_bias[2];
  int32_t spreads;
};

SP_HOST_DEVICE inline void set_byte(uint32_t* words, int at, int32_t v) {
  words[at / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(v)) << (8 * (at % 4));
}

inline PackedNetwork pack_network(const Network& network) {
  PackedNetwork out{};
  for (int h = 0; h < kHidden; ++h) {
    for (int k = 0; k < kFeatures; ++k) set_byte(out.hidden[h], k, network.hidden[h * kFeatures + k]);
    out.hidden_bias[h] = network.hidden_bias[h];
  }
  for (int o = 0; o < 2; ++o) {
    const int8_t* w = network.head + o * (kFeatures + kHidden);
    for (int k = 0; k < kFeatures; ++k) set_byte(out.head[o], k, w[k]);
    for (int h = 0; h < kHidden; ++h) set_byte(out.head[o] + kFeatureWords, h, w[kFeatures + h]);
    out.head_bias[o] = network.head_bias[o];
  }
  out.spreads = network.spreads;
  return out;
}

// sum + the products of four int8 each.
SP_HOST_DEVICE inline int32_t dot4(uint32_t a, uint32_t b, int32_t sum) {
#ifdef __CUDA_ARCH__
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
#else
  for (int k = 0; k < 32; k += 8) sum += static_cast<int8_t>(a >> k) * static_cast<int8_t>(b >> k);
  return sum;
#endif
}

// The head's two sums, of features in words; the units go behind them.
SP_HOST_DEVICE inline void network_sums(uint32_t (&units)[kUnitWords], const PackedNetwork& network,
                                        int32_t (&out)[2]) {
  for (int word = 0; word < kHiddenWords; ++word) {
    uint32_t four = 0;
    for (int k = 0; k < 4; ++k) {
      const int h = 4 * word + k;
      int32_t sum = network.hidden_bias[h];
      for (int w = 0; w < kFeatureWords; ++w) sum = dot4(units[w], network.hidden[h][w], sum);
      set_byte(&four, k, clamp_to(sum >> kHiddenShift, 0, 127));
    }
    units[kFeatureWords + word] = four;
  }
  for (int o = 0; o < 2; ++o) {
    out[o] = network.head_bias[o];
    for (int w = 0; w < kUnitWords; ++w) out[o] = dot4(units[w], network.head[o][w], out[o]);
  }
}

// All that a level's channel with a head needs of splat i; sets its features 0 .. kCommonRow - 1.
SP_HOST_DEVICE inline void predict_splat(const Prediction& p, const SeenLevel& level, const PackedNetwork& network,
                                         int64_t i, const Predicted& out) {
  const int32_t* near = level.near + kNearest * i;
  const int32_t* channel = p.values + p.channel * p.capacity;
  const int32_t prediction = linear_prediction_of(p, near[0], near[1], i), step = p.steps[i];
  int32_t around[kNearest], own[kCommonRow], sums[2];
  for (int k = 0; k < kNearest; ++k) around[k] = channel[near[k]];
  channel_features_of(around, prediction, step, own);
  uint32_t units[kUnitWords] = {};
  for (int k = 0; k < kCommonRow; ++k) {
    level.features[k * level.n + i] = static_cast<int8_t>(own[k]);
    set_byte(units, k, own[k]);
  }
  for (int k = kCommonRow; k < kFeatures; ++k) set_byte(units, k, level.features[k * level.n + i]);
  network_sums(units, network, sums);
  const int32_t eighths = floor_div(16 * prediction + step, 2 * step);
  const LearnedContext c = learned_context_of(sums[0], sums[1], eighths, p.classes[i], network.spreads);
  out.prediction[i] = prediction, out.base[i] = c.base;
  out.context[i] = static_cast<uint8_t>(c.context), out.flip[i] = static_cast<uint8_t>(c.flip);
}

}  // namespace scenepress
