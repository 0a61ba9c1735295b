// An object that every process has one of. A forked child gets a new one: its parent's threads,
// which may have held a lock when it was forked, did not come along.
#pragma once

#include "system/system.h"

namespace ghostnet::cpu {

template <class T>
class PerProcess {
 public:
  PerProcess() { system::call_in_children(renew); }

  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

 private:
  static void renew() { object_ = new T; }

  // Never destroyed, because threads outlive static objects.
  static inline T* object_ = new T;
};

}  // namespace ghostnet::cpu
