// What all layers of a forward pass share, as one thread of the team sees it.
#pragma once

#include "network/model.h"
#include "network/schedule.h"
#include "network/workspace.h"
#include "runtime/thread_team.h"

namespace ghostnet::cpu {

struct ForwardContext {
  const Model& model;
  const Schedule& schedule;
  Workspace& workspace;
  TeamMember member;

  ThreadWorkspace& own() const { return workspace.threads[member.rank]; }
};

}  // namespace ghostnet::cpu
