// Parallel branches of one channel: convolutions of the same input, each with a norm. The norms are
// summed before the activation, so that the sum is affine in the outputs of the convolutions.
//
// Tensors hold the branches one after the other, each with all its channels.
#pragma once

#include <array>
#include <cstddef>

#include "training/batch_norm.h"
#include "training/depthwise_unit.h"
#include "training/feature_maps.h"
#include "training/norm_operators.h"

namespace ghostnet::cpu::training {

constexpr int kMaxBranches = 5;
constexpr int kPrimaryBranches = 3;  // pointwise convolutions of a branched Ghost module

template <class Value>
using PerBranch = std::array<Value, kMaxBranches>;

// Where a channel of each branch lies among those of all branches.
struct BranchIndex {
  std::ptrdiff_t channel;
  std::ptrdiff_t channels;
  int branches;

  std::ptrdiff_t operator()(int branch) const { return branch * channels + channel; }
  std::ptrdiff_t total() const { return branches * channels; }
};

// Saves the statistics of each branch, updates the moving ones, and returns the norms' factors.
template <int Lanes>
PerBranch<Affine> update_branches(const NormParameters& norm, const NormSettings& settings,
                                  const BranchIndex& index, const PerBranch<Moments>& found) {
  PerBranch<Affine> affine = {};
  for (int b = 0; b < index.branches; ++b) {
    affine[b] = update_statistics<Lanes>(norm, settings, index(b), index.total(), found[b]);
  }
  return affine;
}

template <int Lanes>
PerBranch<Norm> saved_branches(const SavedNorm& saved, const BranchIndex& index) {
  PerBranch<Norm> norms = {};
  for (int b = 0; b < index.branches; ++b) norms[b] = saved.channel(index(b), index.total());
  return norms;
}

template <int Lanes>
PerBranch<Affine> affine_of(const PerBranch<Norm>& norms, int branches) {
  PerBranch<Affine> affine = {};
  for (int b = 0; b < branches; ++b) affine[b] = norms[b].affine();
  return affine;
}

// The gradients of gamma and beta.
struct AffineGradients {
  float* gamma;
  float* beta;

  void set(const BranchIndex& index, const PerBranch<NormGradient>& gradients) const {
    for (int b = 0; b < index.branches; ++b) {
      gamma[index(b)] = gradients[b].gamma;
      beta[index(b)] = gradients[b].beta;
    }
  }
};

}  // namespace ghostnet::cpu::training
