// Compares the operators of training with the reference, over shapes, instruction sets and threads.
// Meant to run under AddressSanitizer and UndefinedBehaviorSanitizer: every buffer is an allocation
// of its own, and the floats beside it must not change. Prints one line for each failure and exits
// with 1. The argument is the seed of the random numbers, by default 1.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "random_numbers.h"
#include "training/operators.h"
#include "training_reference.h"

namespace {

using ghostnet::cpu::training::Operator;
using ghostnet::cpu::training::Operators;
using reference::Activation;
using reference::training::Batch;
using reference::training::Norm;
using reference::training::Values;

constexpr double kTolerance = 2e-4;         // of the largest value
constexpr double kRounding = 16 * 0x1p-24;  // of the largest term, where terms cancel
constexpr int kThreads[] = {1, 3, 4, 8};
constexpr float kCanary = -12345.5F;
constexpr int kCanaries = 64;
constexpr float kMomentum = 0.1F;

int failures = 0;
reference::RandomNumbers generator(1);

void check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

Values random_values(std::size_t count, double center = 0) {
  Values values(count);
  for (double& value : values) value = static_cast<float>(generator.normal(center, 1));
  return values;
}

Batch random_batch(int n, int c, int h, int w) {
  Batch batch(n, c, h, w);
  batch.data = random_values(batch.data.size(), 0.5);
  return batch;
}

// The tensors of one call: inputs with their values, outputs with their expected values.
class Call {
 public:
  explicit Call(std::string name) : name_(std::move(name)) {}

  Call& in(std::vector<int64_t> shape, const Values& values) {
    return add(std::move(shape), values, true);
  }
  Call& in(const Batch& batch) { return in(shape_of(batch), batch.data); }
  Call& out(std::vector<int64_t> shape, const Values& expected) {
    return add(std::move(shape), expected, false);
  }
  Call& out(const Batch& batch) { return out(shape_of(batch), batch.data); }
  Call& in(const Values& values) { return in({int64_t(values.size())}, values); }
  Call& out(const Values& values) { return out({int64_t(values.size())}, values); }

  // The largest terms that outputs from here on are sums of, if these cancel.
  Call& terms(double size) {
    terms_ = size;
    return *this;
  }

  // Runs an operator with every instruction set and number of threads.
  void run(Operator Operators::* which) {
    for (const auto set : ghostnet::cpu::supported_instruction_sets()) {
      const Operator chosen = ghostnet::cpu::training::operators_for(set).*which;
      check(chosen.arguments == int(data_.size()), name_ + ": wrong number of arguments");
      for (const int threads : kThreads) {
        clear_outputs();
        chosen.run({int(data_.size()), data_.data(), ranks_.data(), shapes_.data()}, threads);
        compare(name_ + " " + ghostnet::cpu::name(set) + " threads " + std::to_string(threads));
      }
    }
  }

 private:
  struct Tensor {
    std::vector<int64_t> shape;
    Values values;
    bool input;
    double terms;
    std::unique_ptr<float[]> memory;
  };

  static std::vector<int64_t> shape_of(const Batch& b) {
    return {b.images, b.channels, b.height, b.width};
  }

  Call& add(std::vector<int64_t> shape, const Values& values, bool input) {
    const std::size_t size = values.size() + 2 * kCanaries;
    tensors_.push_back(std::make_unique<Tensor>(Tensor{std::move(shape), values, input, terms_,
                                                       std::unique_ptr<float[]>(new float[size])}));
    Tensor& tensor = *tensors_.back();
    std::fill_n(tensor.memory.get(), size, kCanary);
    std::copy(values.begin(), values.end(), tensor.memory.get() + kCanaries);
    data_.push_back(tensor.memory.get() + kCanaries);
    ranks_.push_back(static_cast<int>(tensor.shape.size()));
    shapes_.push_back(tensor.shape.data());
    return *this;
  }

  void clear_outputs() {
    for (const auto& tensor : tensors_) {
      if (!tensor->input) {
        std::fill_n(tensor->memory.get() + kCanaries, tensor->values.size(), NAN);
      }
    }
  }

  void compare(const std::string& what) const {
    for (std::size_t index = 0; index < tensors_.size(); ++index) {
      const Tensor& tensor = *tensors_[index];
      const float* found = tensor.memory.get() + kCanaries;
      double largest = 1e-2;
      double difference = 0;
      for (std::size_t i = 0; i < tensor.values.size(); ++i) {
        largest = std::max(largest, std::abs(tensor.values[i]));
        const double off = std::abs(tensor.values[i] - found[i]);
        difference = std::isnan(off) ? INFINITY : std::max(difference, off);
      }
      const std::string where = what + ", tensor " + std::to_string(index);
      const double bound = (tensor.input ? 1e-6 : kTolerance) * largest + kRounding * tensor.terms;
      check(difference <= bound,
            where + ": off by " + std::to_string(difference) + " of " + std::to_string(largest));
      const auto canary = [](float value) { return value == kCanary; };
      check(std::all_of(found - kCanaries, found, canary) &&
                std::all_of(found + tensor.values.size(), found + tensor.values.size() + kCanaries,
                            canary),
            where + ": wrote outside");
    }
  }

  const std::string name_;
  double terms_ = 0;
  std::vector<std::unique_ptr<Tensor>> tensors_;
  std::vector<void*> data_;
  std::vector<int> ranks_;
  std::vector<int64_t*> shapes_;
};

double largest(const Values& values) {
  double found = 0;
  for (const double value : values) found = std::max(found, std::abs(value));
  return found;
}

// A norm and its outputs besides y.
struct Measured {
  Norm norm;
  Values moving_mean, moving_variance, statistics, next_mean, next_variance;
  // How much the norm enlarges the rounding of what it is given, where a channel has at most two
  // values: these may be nearly equal, and their gradients cancel but for epsilon / variance of
  // each term gamma / deviation · dy. The rounding of z reaches the terms by |z| / deviation.
  double condition = 0;

  // With ReLU6, the values lie about its upper bend.
  Measured(const Batch& z, Activation activation)
      : norm{random_values(z.channels, 1),
             random_values(z.channels, activation == reference::kRelu6 ? 5 : 0), activation},
        moving_mean(random_values(z.channels)),
        moving_variance(random_values(z.channels, 3)),
        statistics(2 * z.channels) {
    const double count = double(z.images) * z.height * z.width;
    for (int c = 0; c < z.channels; ++c) {
      const Norm::Channel found = norm.measure(z, c);
      statistics[c] = found.mean;
      statistics[z.channels + c] = found.inverse_deviation;
      const double unbiased = found.variance * count / std::max(1.0, count - 1);
      if (count <= 2) {
        const double scale = std::max(1.0, std::abs(norm.gamma[c])) * found.inverse_deviation;
        condition = std::max(condition, scale * (1 + largest(z.data) * found.inverse_deviation));
      }
      next_mean.push_back((1 - kMomentum) * moving_mean[c] + kMomentum * found.mean);
      next_variance.push_back((1 - kMomentum) * moving_variance[c] + kMomentum * unbiased);
    }
  }

  void inputs(Call& call) const {
    call.in(norm.gamma).in(norm.beta).in(moving_mean).in(moving_variance);
  }
  void saved(Call& call) const {
    call.in(norm.gamma).in(norm.beta).in({2, int64_t(norm.gamma.size())}, statistics);
  }
  void outputs(Call& call) const {
    call.out({2, int64_t(norm.gamma.size())}, statistics).out(next_mean).out(next_variance);
  }
  Values settings() const { return {double(norm.activation), norm.epsilon, kMomentum}; }
};

Values zeros(std::size_t count) { return Values(count); }

void check_batch_norm(const Batch& z, Activation activation, const std::string& size) {
  const Measured measured(z, activation);
  Call forward("batch norm " + size);
  forward.in(z);
  measured.inputs(forward);
  forward.in(measured.settings()).out(measured.norm(z));
  measured.outputs(forward);
  forward.run(&Operators::batch_norm);

  const Batch dy = random_batch(z.images, z.channels, z.height, z.width);
  Batch dz = z;
  Values dgamma = zeros(z.channels), dbeta = zeros(z.channels);
  measured.norm.gradient(dy, z, dz, dgamma, dbeta);
  Call backward("batch norm gradient " + size);
  backward.terms(measured.condition * largest(dy.data));
  backward.in(dy).in(z);
  measured.saved(backward);
  backward.in(measured.settings()).out(dz).out(dgamma).out(dbeta);
  backward.run(&Operators::batch_norm_gradient);
}

void check_depthwise(const Batch& x, int kernel, int stride, Activation activation,
                     const std::string& size) {
  const std::string name =
      std::to_string(kernel) + " stride " + std::to_string(stride) + " " + size;
  const Values filter = random_values(std::size_t(x.channels) * kernel * kernel);
  const std::vector<int64_t> shape = {x.channels, 1, kernel, kernel};
  const Batch z = reference::training::depthwise(x, filter, kernel, stride);
  const Measured measured(z, activation);
  Call forward("depthwise " + name);
  forward.terms(measured.condition);
  forward.in(x).in(shape, filter);
  measured.inputs(forward);
  forward.in(measured.settings()).out(measured.norm(z));
  measured.outputs(forward);
  forward.run(&Operators::depthwise);

  const Batch dy = random_batch(z.images, z.channels, z.height, z.width);
  Batch dz = z, dx(x.images, x.channels, x.height, x.width);
  Values dgamma = zeros(x.channels), dbeta = zeros(x.channels), dfilter = zeros(filter.size());
  measured.norm.gradient(dy, z, dz, dgamma, dbeta);
  reference::training::depthwise_gradient(dz, x, filter, kernel, stride, dx, dfilter);
  Call backward("depthwise gradient " + name);
  backward.terms(measured.condition * largest(dy.data) *
                 std::max({1.0, largest(filter), largest(x.data)}));
  backward.in(dy).in(x).in(shape, filter);
  measured.saved(backward);
  backward.in(measured.settings()).out(dx).out(shape, dfilter).out(dgamma).out(dbeta);
  backward.run(&Operators::depthwise_gradient);
}

Batch joined(const Batch& a, const Batch& b) {
  Batch both(a.images, a.channels + b.channels, a.height, a.width);
  each(both, [&](int n, int c, int y, int x) {
    both.at(n, c, y, x) = c < a.channels ? a.at(n, c, y, x) : b.at(n, c - a.channels, y, x);
  });
  return both;
}

void check_ghost(const Batch& z, Activation activation, bool has_residual,
                 const std::string& size) {
  const Measured primary(z, activation);
  const Batch own = primary.norm(z);
  const Values filter = random_values(std::size_t(z.channels) * 9);
  const std::vector<int64_t> shape = {z.channels, 1, 3, 3};
  const Batch cheap_z = reference::training::depthwise(own, filter, 3, 1);
  const Measured cheap(cheap_z, activation);
  Batch y = joined(own, cheap.norm(cheap_z));
  const Batch residual = random_batch(y.images, y.channels, y.height, y.width);
  Call forward("ghost " + size);
  forward.terms(primary.condition * cheap.condition);
  forward.in(z);
  primary.inputs(forward);
  forward.in(shape, filter);
  cheap.inputs(forward);
  forward.in(primary.settings());
  if (has_residual) {
    forward.in(residual);
    for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] += residual.data[i];
  }
  forward.out(y);
  primary.outputs(forward);
  cheap.outputs(forward);
  forward.run(has_residual ? &Operators::ghost_residual : &Operators::ghost);

  const Batch down = random_batch(z.images, z.channels, z.height, z.width);
  const Batch dcheap = random_batch(z.images, z.channels, z.height, z.width);
  Batch dcheap_z = z, dz = z, down_total = down;
  const int c = z.channels;
  Values dfilter = zeros(filter.size()), dgamma = zeros(c), dbeta = zeros(c),
         dcheap_gamma = zeros(c), dcheap_beta = zeros(c);
  cheap.norm.gradient(dcheap, cheap_z, dcheap_z, dcheap_gamma, dcheap_beta);
  reference::training::depthwise_gradient(dcheap_z, own, filter, 3, 1, down_total, dfilter);
  primary.norm.gradient(down_total, z, dz, dgamma, dbeta);
  Call backward("ghost gradient " + size);
  backward.terms(primary.condition * cheap.condition * (largest(down.data) + largest(dcheap.data)) *
                 std::max({1.0, largest(filter), largest(own.data)}));
  backward.in(joined(down, dcheap)).in(z);
  primary.saved(backward);
  backward.in(shape, filter);
  cheap.saved(backward);
  backward.in(primary.settings()).out(dz).out(dgamma).out(dbeta).out(shape, dfilter);
  backward.out(dcheap_gamma).out(dcheap_beta);
  backward.run(&Operators::ghost_gradient);
}

// The channels again and again, one repetition for each branch.
Batch repeated(const Batch& batch, int branches) {
  Batch all(batch.images, branches * batch.channels, batch.height, batch.width);
  each(all, [&](int n, int c, int y, int x) {
    all.at(n, c, y, x) = batch.at(n, c % batch.channels, y, x);
  });
  return all;
}

// The sum over the branches.
Batch summed(const Batch& all, int branches) {
  Batch sum(all.images, all.channels / branches, all.height, all.width);
  each(all, [&](int n, int c, int y, int x) {
    sum.at(n, c % sum.channels, y, x) += all.at(n, c, y, x);
  });
  return sum;
}

// The norms of branches whose outputs are z, without an activation, then that of their sum.
struct Branches {
  Batch z;
  int count;
  Activation activation;
  Measured measured;
  Batch y;
  Values dgamma, dbeta;

  Branches(const Batch& outputs, int branches, Activation last)
      : z(outputs),
        count(branches),
        activation(last),
        measured(z, reference::kNone),
        y(summed(measured.norm(z), count)),
        dgamma(z.channels),
        dbeta(z.channels) {
    for (double& value : y.data) value = reference::activate(value, activation);
  }

  // Returns the gradient to z.
  Batch gradient(Batch dy) {
    for (std::size_t i = 0; i < dy.data.size(); ++i) {
      if (activation == reference::kRelu && y.data[i] <= 0) dy.data[i] = 0;
    }
    Batch dz = z;
    measured.norm.gradient(repeated(dy, count), z, dz, dgamma, dbeta);
    return dz;
  }

  Values settings() const {
    Values values = measured.settings();
    values[0] = double(activation);
    return values;
  }
};

void check_branched_depthwise(const Batch& x, int kernel, int stride, Activation activation,
                              const std::string& size) {
  const int branches = kernel + stride - 2;
  const Batch all = repeated(x, branches);
  const Values filters = random_values(std::size_t(all.channels) * kernel * kernel);
  const std::vector<int64_t> shape = {all.channels, 1, kernel, kernel};
  Branches unit(reference::training::depthwise(all, filters, kernel, stride), branches, activation);
  const std::string name =
      std::to_string(kernel) + " stride " + std::to_string(stride) + " " + size;
  Call forward("branched depthwise " + name);
  forward.terms(unit.measured.condition);
  forward.in(x).in(shape, filters);
  unit.measured.inputs(forward);
  forward.in(unit.settings()).out(unit.y);
  unit.measured.outputs(forward);
  forward.run(&Operators::branched_depthwise);

  const Batch dy = random_batch(unit.y.images, unit.y.channels, unit.y.height, unit.y.width);
  const Batch dz = unit.gradient(dy);
  Batch dx(all.images, all.channels, all.height, all.width);
  Values dfilters = zeros(filters.size());
  reference::training::depthwise_gradient(dz, all, filters, kernel, stride, dx, dfilters);
  Call backward("branched depthwise gradient " + name);
  backward.terms(unit.measured.condition * largest(dy.data) *
                 std::max({1.0, largest(filters), largest(x.data)}));
  backward.in(dy).in(x).in(shape, filters);
  unit.measured.saved(backward);
  backward.in(unit.settings()).out(summed(dx, branches)).out(shape, dfilters);
  backward.out(unit.dgamma).out(unit.dbeta);
  backward.run(&Operators::branched_depthwise_gradient);
}

void check_branched_ghost(const Batch& half, Activation activation, bool has_residual,
                          const std::string& size) {
  constexpr int kPrimary = 3, kCheap = 5;
  const Batch z = random_batch(half.images, kPrimary * half.channels, half.height, half.width);
  Branches primary(z, kPrimary, activation);
  const Batch all = repeated(primary.y, kCheap);
  const Values filters = random_values(std::size_t(all.channels) * 9);
  const std::vector<int64_t> shape = {all.channels, 1, 3, 3};
  Branches cheap(reference::training::depthwise(all, filters, 3, 1), kCheap, activation);
  Batch y = joined(primary.y, cheap.y);
  const Batch residual = random_batch(y.images, y.channels, y.height, y.width);
  Call forward("branched ghost " + size);
  forward.in(z);
  primary.measured.inputs(forward);
  forward.in(shape, filters);
  cheap.measured.inputs(forward);
  forward.in(primary.settings());
  if (has_residual) {
    forward.in(residual);
    for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] += residual.data[i];
  }
  forward.out(y);
  primary.measured.outputs(forward);
  cheap.measured.outputs(forward);
  forward.run(has_residual ? &Operators::branched_ghost_residual : &Operators::branched_ghost);

  const Batch down = random_batch(half.images, half.channels, half.height, half.width);
  const Batch dcheap = random_batch(half.images, half.channels, half.height, half.width);
  Batch dall(all.images, all.channels, all.height, all.width);
  Values dfilters = zeros(filters.size());
  reference::training::depthwise_gradient(cheap.gradient(dcheap), all, filters, 3, 1, dall,
                                          dfilters);
  Batch down_total = summed(dall, kCheap);
  for (std::size_t i = 0; i < down.data.size(); ++i) down_total.data[i] += down.data[i];
  const Batch dz = primary.gradient(down_total);
  Call backward("branched ghost gradient " + size);
  backward.in(joined(down, dcheap)).in(z);
  primary.measured.saved(backward);
  backward.in(shape, filters);
  cheap.measured.saved(backward);
  backward.in(primary.settings()).out(dz).out(primary.dgamma).out(primary.dbeta);
  backward.out(shape, dfilters).out(cheap.dgamma).out(cheap.dbeta);
  backward.run(&Operators::branched_ghost_gradient);
}

void check_gate(const Batch& x, const std::string& size) {
  const Batch gates = random_batch(x.images, x.channels, (x.height + 1) / 2, (x.width + 1) / 2);
  const Batch dy = random_batch(x.images, x.channels, x.height, x.width);
  Batch y = x, dx = x, dgates(gates.images, gates.channels, gates.height, gates.width);
  each(x, [&](int n, int c, int row, int column) {
    const int from_y = row * gates.height / x.height;
    const int from_x = column * gates.width / x.width;
    y.at(n, c, row, column) *= gates.at(n, c, from_y, from_x);
    dx.at(n, c, row, column) = dy.at(n, c, row, column) * gates.at(n, c, from_y, from_x);
    dgates.at(n, c, from_y, from_x) += dy.at(n, c, row, column) * x.at(n, c, row, column);
  });
  Call("gate " + size).in(x).in(gates).out(y).run(&Operators::gate);
  Call("gate gradient " + size)
      .in(dy)
      .in(x)
      .in(gates)
      .out(dx)
      .out(dgates)
      .run(&Operators::gate_gradient);
}

void check_pointwise(const Batch& x, int outputs, const std::string& size) {
  const Values weights = random_values(std::size_t(outputs) * x.channels);
  const std::vector<int64_t> shape = {outputs, x.channels, 1, 1};
  const std::string name = std::to_string(outputs) + " from " + size;
  Batch z(x.images, outputs, x.height, x.width);
  const Batch dz = random_batch(x.images, outputs, x.height, x.width);
  Batch dx(x.images, x.channels, x.height, x.width);
  Values dweights = zeros(weights.size());
  each(z, [&](int n, int c, int y, int column) {
    for (int k = 0; k < x.channels; ++k) {
      const std::size_t weight = std::size_t(c) * x.channels + k;
      z.at(n, c, y, column) += weights[weight] * x.at(n, k, y, column);
      dx.at(n, k, y, column) += weights[weight] * dz.at(n, c, y, column);
      dweights[weight] += dz.at(n, c, y, column) * x.at(n, k, y, column);
    }
  });
  Call("pointwise " + name).in(x).in(shape, weights).out(z).run(&Operators::pointwise);
  Call("pointwise input gradient " + name)
      .in(dz)
      .in(shape, weights)
      .out(dx)
      .run(&Operators::pointwise_input_gradient);
  Call("pointwise weight gradient " + name)
      .in(dz)
      .in(x)
      .out(shape, dweights)
      .run(&Operators::pointwise_weight_gradient);
}

void check_unfold(const Batch& x, const std::string& size) {
  Batch copies(x.images, 9 * x.channels, (x.height + 1) / 2, (x.width + 1) / 2);
  const Batch dcopies = random_batch(x.images, copies.channels, copies.height, copies.width);
  Batch dx(x.images, x.channels, x.height, x.width);
  each(copies, [&](int n, int c, int y, int column) {
    const int from_y = 2 * y + c % 9 / 3 - 1;
    const int from_x = 2 * column + c % 3 - 1;
    if (!x.holds(from_y, from_x)) return;
    copies.at(n, c, y, column) = x.at(n, c / 9, from_y, from_x);
    dx.at(n, c / 9, from_y, from_x) += dcopies.at(n, c, y, column);
  });
  Call("unfold " + size).in(x).out(copies).run(&Operators::unfold);
  Call("unfold gradient " + size).in(dcopies).in(x).out(dx).run(&Operators::unfold_gradient);
}

struct Dense {
  int rows, columns;
  Values weights, bias, dweights, dbias;

  Dense(int rows_, int columns_)
      : rows(rows_),
        columns(columns_),
        weights(random_values(std::size_t(rows) * columns)),
        bias(random_values(rows)),
        dweights(weights.size()),
        dbias(rows) {}

  Values operator()(const Values& in) const {
    Values out = bias;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      out[i / columns] += weights[i] * in[i % columns];
    }
    return out;
  }

  Values back(const Values& gradient, const Values& in) {
    Values din(columns);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      din[i % columns] += weights[i] * gradient[i / columns];
      dweights[i] += gradient[i / columns] * in[i % columns];
    }
    for (int row = 0; row < rows; ++row) dbias[row] += gradient[row];
    return din;
  }
};

void check_squeeze_excite(const Batch& x, int reduced, const std::string& size) {
  const int channels = x.channels, plane = x.height * x.width;
  Dense reduce(reduced, channels), expand(channels, reduced);
  const Batch dy = random_batch(x.images, channels, x.height, x.width);
  Batch y = x, dx = x;
  Values all_means, all_squeezed, all_excitations;
  for (int n = 0; n < x.images; ++n) {
    Values means(channels), dgate(channels);
    for (int i = 0; i < channels * plane; ++i) {
      const std::size_t at = std::size_t(n) * channels * plane + i;
      means[i / plane] += x.data[at] / plane;
      dgate[i / plane] += dy.data[at] * x.data[at];
    }
    Values squeezed = reduce(means);
    for (double& value : squeezed) value = std::max(0.0, value);
    const Values excitations = expand(squeezed);
    for (int c = 0; c < channels; ++c) dgate[c] *= std::abs(excitations[c]) < 3 ? 1.0 / 6 : 0;
    Values dsqueezed = expand.back(dgate, squeezed);
    for (int r = 0; r < reduced; ++r) dsqueezed[r] = squeezed[r] > 0 ? dsqueezed[r] : 0;
    const Values dmeans = reduce.back(dsqueezed, means);
    for (int i = 0; i < channels * plane; ++i) {
      const std::size_t at = std::size_t(n) * channels * plane + i;
      const double gate = std::min(std::max(excitations[i / plane] + 3, 0.0), 6.0) / 6;
      y.data[at] = gate * x.data[at];
      dx.data[at] = gate * dy.data[at] + dmeans[i / plane] / plane;
    }
    all_means.insert(all_means.end(), means.begin(), means.end());
    all_squeezed.insert(all_squeezed.end(), squeezed.begin(), squeezed.end());
    all_excitations.insert(all_excitations.end(), excitations.begin(), excitations.end());
  }
  const std::vector<int64_t> wide = {x.images, channels}, narrow = {x.images, reduced};
  const std::vector<int64_t> down = {reduced, channels, 1, 1}, up = {channels, reduced, 1, 1};
  Call("squeeze-excite " + size)
      .in(x)
      .in(down, reduce.weights)
      .in(reduce.bias)
      .in(up, expand.weights)
      .in(expand.bias)
      .out(y)
      .out(wide, all_means)
      .out(narrow, all_squeezed)
      .out(wide, all_excitations)
      .run(&Operators::squeeze_excite);
  Call("squeeze-excite gradient " + size)
      .in(dy)
      .in(x)
      .in(down, reduce.weights)
      .in(up, expand.weights)
      .in(wide, all_means)
      .in(narrow, all_squeezed)
      .in(wide, all_excitations)
      .out(dx)
      .out(down, reduce.dweights)
      .out(reduce.dbias)
      .out(up, expand.dweights)
      .out(expand.dbias)
      .run(&Operators::squeeze_excite_gradient);
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) generator = reference::RandomNumbers(std::atoi(arguments[1]));
  const int shapes[][4] = {{1, 3, 1, 2}, {2, 5, 4, 4},   {3, 13, 7, 7},  {2, 6, 14, 14},
                           {5, 9, 3, 1}, {1, 4, 28, 30}, {2, 7, 17, 33}, {2, 26, 5, 13}};
  for (const auto& [n, c, h, w] : shapes) {
    const Batch x = random_batch(n, c, h, w);
    const std::string size = std::to_string(n) + "x" + std::to_string(c) + "x" + std::to_string(h) +
                             "x" + std::to_string(w);
    const Activation activations[] = {reference::kNone, reference::kRelu, reference::kRelu6};
    const Activation activation = activations[w % 3];
    check_batch_norm(x, activation, size);
    for (const int kernel : {3, 5}) {
      for (const int stride : {1, 2}) check_depthwise(x, kernel, stride, activation, size);
    }
    check_ghost(x, w % 2 == 0 ? reference::kRelu : reference::kNone, w % 3 == 0, size);
    const Activation rectified = w % 2 == 0 ? reference::kRelu : reference::kNone;
    if (n * h * w > 2) {  // of two values that are nearly equal, a norm enlarges the rounding
      check_branched_depthwise(x, 3, 1, rectified, size);
      check_branched_ghost(x, rectified, w % 3 == 0, size);
    }
    check_branched_depthwise(x, 3, 2, rectified, size);
    check_branched_depthwise(x, 5, 2, rectified, size);
    check_gate(x, size);
    for (const int outputs : {1, 12, 31}) check_pointwise(x, outputs, size);
    check_unfold(x, size);
    check_squeeze_excite(x, 4, size);
  }
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
