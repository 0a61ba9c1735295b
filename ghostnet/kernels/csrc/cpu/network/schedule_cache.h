// The schedules of the last calls: numbering the positions of all maps takes 1 % of a call's time.
#pragma once

#include <memory>

#include "network/model.h"
#include "network/schedule.h"

namespace ghostnet::cpu {

// The schedule for so many images of one size: that of an earlier call, or a new one.
std::shared_ptr<const Schedule> find_schedule(const Model& model, int images, int height,
                                              int width);

}  // namespace ghostnet::cpu
