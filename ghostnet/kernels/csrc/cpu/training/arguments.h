// The arguments of every training operator, inputs first, in the order in which
// ghostnet/kernels/cpu/training_operators.py passes them.
//
// z is the output of a convolution before its norm, y that of the norm and activation; the
// gradient of the loss with respect to v is named v_gradient. Statistics are
// [mean, inverse deviation][channel] of the batch; moving statistics are averages over batches.
#pragma once

namespace ghostnet::cpu::training {

struct UnfoldArguments {
  enum { kImages, kCopies, kCount };
};

struct UnfoldGradientArguments {
  enum { kCopiesGradient, kImages, kImagesGradient, kCount };
};

struct BatchNormArguments {
  enum {
    kZ,
    kGamma,
    kBeta,
    kMovingMean,
    kMovingVariance,
    kSettings,
    kY,
    kStatistics,
    kNextMean,
    kNextVariance,
    kCount
  };
};

struct BatchNormGradientArguments {
  enum {
    kYGradient,
    kZ,
    kGamma,
    kBeta,
    kStatistics,
    kSettings,
    kZGradient,
    kGammaGradient,
    kBetaGradient,
    kCount
  };
};

// A depthwise convolution with its norm and activation. With branches, all tensors of parameters
// and statistics hold the branches one after the other.
struct DepthwiseArguments {
  enum {
    kX,
    kFilter,
    kGamma,
    kBeta,
    kMovingMean,
    kMovingVariance,
    kSettings,
    kY,
    kStatistics,
    kNextMean,
    kNextVariance,
    kCount
  };
};

struct DepthwiseGradientArguments {
  enum {
    kYGradient,
    kX,
    kFilter,
    kGamma,
    kBeta,
    kStatistics,
    kSettings,
    kXGradient,
    kFilterGradient,
    kGammaGradient,
    kBetaGradient,
    kCount
  };
};

// A Ghost module after its pointwise convolution, whose output is z. kResidual exists only with a
// residual, which is added to y. With branches, z and all tensors of parameters and statistics hold
// the branches one after the other.
template <bool HasResidual>
struct GhostArguments {
  enum {
    kZ,
    kGamma,
    kBeta,
    kMovingMean,
    kMovingVariance,
    kFilter,
    kCheapGamma,
    kCheapBeta,
    kCheapMovingMean,
    kCheapMovingVariance,
    kSettings,
    kResidual,
    kY = kResidual + HasResidual,
    kStatistics,
    kNextMean,
    kNextVariance,
    kCheapStatistics,
    kCheapNextMean,
    kCheapNextVariance,
    kCount
  };
};

struct GhostGradientArguments {
  enum {
    kYGradient,
    kZ,
    kGamma,
    kBeta,
    kStatistics,
    kFilter,
    kCheapGamma,
    kCheapBeta,
    kCheapStatistics,
    kSettings,
    kZGradient,
    kGammaGradient,
    kBetaGradient,
    kFilterGradient,
    kCheapGammaGradient,
    kCheapBetaGradient,
    kCount
  };
};

// The gates are a smaller map with the same channels.
struct GateArguments {
  enum { kX, kGates, kY, kCount };
};

struct GateGradientArguments {
  enum { kYGradient, kX, kGates, kXGradient, kGatesGradient, kCount };
};

struct PointwiseArguments {
  enum { kX, kWeights, kZ, kCount };
};

struct PointwiseInputGradientArguments {
  enum { kZGradient, kWeights, kXGradient, kCount };
};

struct PointwiseWeightGradientArguments {
  enum { kZGradient, kX, kWeightsGradient, kCount };
};

// Means, squeezed and excitations have a row for each image: the channels' means, the output of
// `reduce` after ReLU, and the output of `expand`, of which the gates are the hard sigmoid.
struct SqueezeExciteArguments {
  enum {
    kX,
    kReduce,
    kReduceBias,
    kExpand,
    kExpandBias,
    kY,
    kMeans,
    kSqueezed,
    kExcitations,
    kCount
  };
};

struct SqueezeExciteGradientArguments {
  enum {
    kYGradient,
    kX,
    kReduce,
    kExpand,
    kMeans,
    kSqueezed,
    kExcitations,
    kXGradient,
    kReduceGradient,
    kReduceBiasGradient,
    kExpandGradient,
    kExpandBiasGradient,
    kCount
  };
};

}  // namespace ghostnet::cpu::training
