//! A step that does not fit into memory: found out, and told with the batch that would.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What libtorch says when it has no memory left, on CUDA and on the CPU.
const SAID: [&str; 3] = ["out of memory", "can't allocate memory", "bad_alloc"];

/// What our shim says when processes cannot exchange a tensor: `Ranks::guarded` tells why.
const NOT_ADDED_UP: &str = "could not add up a tensor";

/// Memory ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

/// Runs `work`. libtorch's errors reach us as panics: those about memory become a value, all others go on.
pub fn within_memory<T>(work: impl FnOnce() -> T) -> Result<T, OutOfMemory> {
    keep_quiet();
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        if says_one_of(panic.as_ref(), &SAID) {
            return OutOfMemory;
        }
        std::panic::resume_unwind(panic)
    })
}

/// The largest of `size`, `size` / 2, … 1 that `fits`.
pub fn largest_that_fits(size: usize, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
    std::iter::successors(Some(size), |size| Some(size / 2)).take_while(|&size| size > 0).find(|&size| fits(size))
}

/// What is told elsewhere need not stand on stderr as a panic as well.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !says_one_of(panic.payload(), &SAID) && !says_one_of(panic.payload(), &[NOT_ADDED_UP]) {
                usual(panic);
            }
        }));
    });
}

fn says_one_of(panic: &(dyn Any + Send), phrases: &[&str]) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| phrases.iter().any(|said| text.contains(said)))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_libtorch_cannot_allocate_is_a_value() {
        // 2^60 bytes: no machine has so many.
        let impossible = || Tensor::zeros([1 << 58], (Kind::Float, Device::Cpu));
        assert_eq!(within_memory(impossible).map(drop), Err(OutOfMemory));
        assert_eq!(within_memory(|| 7), Ok(7));
        let other = catch_unwind(|| within_memory(|| panic!("something else")));
        assert!(other.is_err(), "other panics go on");
    }

    #[test]
    fn half_after_half_is_tried() {
        let mut tried = Vec::new();
        let found = largest_that_fits(24, |size| {
            tried.push(size);
            size <= 5
        });
        assert_eq!((found, tried), (Some(3), vec![24, 12, 6, 3]));
        assert_eq!(largest_that_fits(4, |_| false), None);
    }
}
