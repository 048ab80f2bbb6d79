// Memory of large CPU tensors, kept from step to step.
//
// libtorch asks the system for each large tensor and gives it back at once: in a training step a quarter of the time can go
// into page faults. Here large tensors lie in one range of addresses, in huge pages where the system has them; what one
// gives back serves the next, neighbours that are free are one. Pages are the system's again only where free memory at the
// end exceeds a share of the most that was in use. (jemalloc was tried in its place: without a bound it took half as much
// memory again, with one it was no faster than the system's allocator.)

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace {

// Smaller ones are the usual allocator's.
constexpr size_t LEAST = size_t{1} << 20;
// Sizes are multiples of this.
constexpr size_t UNIT = size_t{256} << 10;
constexpr size_t HUGE_PAGE = size_t{2} << 20;
// What is touched may exceed the most that was in use by one part of so many before the end is given back.
constexpr size_t SPARE_OF = 4;

class Keeper final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= LEAST) {
      const std::lock_guard<std::mutex> lock(mutex_);
      void* address = take((bytes + UNIT - 1) / UNIT * UNIT);
      if (address != nullptr) return {address, address, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    return c10::GetDefaultCPUAllocator()->allocate(bytes);
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  // Never taken away: tensors outlive everything.
  static Keeper& only() {
    static auto* keeper = new Keeper();
    return *keeper;
  }

 private:
  Keeper() {
    const auto pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    reserved_ = static_cast<size_t>(std::max(pages, 1L)) * static_cast<size_t>(std::max(page, 1L));
    // Addresses alone: pages come when they are touched.
    void* range = mmap(
        nullptr, reserved_ + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) {
      reserved_ = 0;
      return;
    }
    const auto address = reinterpret_cast<uintptr_t>(range);
    base_ = static_cast<char*>(range) + (HUGE_PAGE - address % HUGE_PAGE) % HUGE_PAGE;
    madvise(base_, reserved_, MADV_HUGEPAGE);
  }

  // The smallest free range that fits, else new memory at the end; null where there is none.
  void* take(size_t bytes) {
    size_t offset;
    const auto fitting = by_size_.lower_bound({bytes, 0});
    if (fitting != by_size_.end()) {
      const auto [size, found] = *fitting;
      remove(found, size);
      if (size > bytes) insert(found + bytes, size - bytes);
      offset = found;
    } else {
      const auto last = free_.empty() ? free_.end() : std::prev(free_.end());
      const bool at_end = last != free_.end() && last->first + last->second == end_;
      offset = at_end ? last->first : end_;
      if (bytes > reserved_ - offset) return nullptr;
      if (at_end) remove(last->first, last->second);
      end_ = offset + bytes;
    }
    in_use_.emplace(base_ + offset, bytes);
    used_ += bytes;
    most_used_ = std::max(most_used_, used_);
    return base_ + offset;
  }

  void release(size_t offset, size_t bytes) {
    used_ -= bytes;
    const auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
      const auto [other, more] = *next;
      remove(other, more);
      bytes += more;
    }
    const auto after = free_.lower_bound(offset);
    if (after != free_.begin()) {
      const auto [other, more] = *std::prev(after);
      if (other + more == offset) {
        remove(other, more);
        offset = other;
        bytes += more;
      }
    }
    if (offset + bytes == end_ && end_ > most_used_ + most_used_ / SPARE_OF) {
      const size_t kept = std::max(offset, most_used_ + most_used_ / SPARE_OF);
      madvise(base_ + kept, end_ - kept, MADV_DONTNEED);
      end_ = kept;
      bytes = kept - offset;
    }
    if (bytes > 0) insert(offset, bytes);
  }

  void insert(size_t offset, size_t bytes) {
    free_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }

  void remove(size_t offset, size_t bytes) {
    free_.erase(offset);
    by_size_.erase({bytes, offset});
  }

  static void give_back(void* address) {
    auto& keeper = only();
    {
      const std::lock_guard<std::mutex> lock(keeper.mutex_);
      const auto found = keeper.in_use_.find(address);
      if (found != keeper.in_use_.end()) {
        const size_t bytes = found->second;
        keeper.in_use_.erase(found);
        return keeper.release(static_cast<size_t>(static_cast<char*>(address) - keeper.base_), bytes);
      }
    }
    c10::GetDefaultCPUAllocator()->raw_deleter()(address);
  }

  std::mutex mutex_;
  char* base_ = nullptr;
  size_t reserved_ = 0, end_ = 0, used_ = 0, most_used_ = 0;
  // Free ranges below the end: offset and size, and the same by size.
  std::map<size_t, size_t> free_;
  std::set<std::pair<size_t, size_t>> by_size_;
  std::unordered_map<void*, size_t> in_use_;
};

}  // namespace

extern "C" {

// From now on large CPU tensors are kept.
void xreport_keep_memory() { c10::SetCPUAllocator(&Keeper::only(), 1); }

}  // extern "C"
