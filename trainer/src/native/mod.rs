//! The C interface of our C++ (`native/shim.cpp`), and what makes it safe: owned handles, copied bytes, errors as values.
#![allow(unsafe_code, reason = "the one place that calls our C++ shim")]

mod kernels;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null_mut, slice_from_raw_parts};
use std::time::Duration;

use tch::Tensor;

pub use kernels::{AdamWNumbers, BatchNorm, adamw, head_loss, keep_memory, norm_pool_relu};

/// What the shim returns: all is well.
const DONE: c_int = 0;
/// A value was not there in time.
const TIMED_OUT: c_int = 1;

#[repr(C)]
struct RawStore {
    _opaque: [u8; 0],
}

/// `at::Tensor`, which tch calls `C_tensor` and does not name to its users.
type RawTensor = c_void;

unsafe extern "C" {
    fn xreport_free(memory: *mut c_void);
    fn xreport_store_open(
        host: *const c_char,
        port: u16,
        serves: c_int,
        timeout_ms: i64,
        opened: *mut *mut RawStore,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_store_close(store: *mut RawStore);
    fn xreport_store_set(
        store: *mut RawStore,
        key: *const c_char,
        bytes: *const u8,
        length: usize,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_store_get(
        store: *mut RawStore,
        key: *const c_char,
        timeout_ms: i64,
        bytes: *mut *mut u8,
        length: *mut usize,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_store_has(store: *mut RawStore, key: *const c_char, has: *mut c_int, message: *mut *mut c_char)
    -> c_int;
    fn xreport_store_add(
        store: *mut RawStore,
        key: *const c_char,
        amount: i64,
        sum: *mut i64,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_store_delete(store: *mut RawStore, key: *const c_char, message: *mut *mut c_char) -> c_int;
    fn xreport_pin(tensor: *const RawTensor, pinned: *mut *mut RawTensor, message: *mut *mut c_char) -> c_int;
    fn xreport_sum(
        own: *const RawTensor,
        call: extern "C" fn(*mut c_void, *mut RawTensor) -> c_int,
        context: *mut c_void,
        sum: *mut *mut RawTensor,
        message: *mut *mut c_char,
    ) -> c_int;
}

/// What the shim says of a failure.
pub type Said = String;

/// A connection to c10d's TCPStore: keys and bytes that all processes of a training see. It may be used from one thread
/// at a time.
#[derive(Debug)]
pub struct Store {
    raw: *mut RawStore,
}

// SAFETY: c10d's client is bound to no thread; `&mut self` keeps calls from overlapping.
unsafe impl Send for Store {}

impl Store {
    /// Connects to the store at `host`:`port`, or serves it there.
    pub fn open(host: &str, port: u16, serves: bool, timeout: Duration) -> Result<Self, Said> {
        let host = text(host);
        let mut raw = null_mut();
        // SAFETY: the string ends with a zero and outlives the call; the pointers are ours.
        checked(|message| unsafe {
            xreport_store_open(host.as_ptr(), port, c_int::from(serves), milliseconds(timeout), &raw mut raw, message)
        })?;
        Ok(Self { raw })
    }

    /// Puts `bytes` under `key`; what was there is gone.
    pub fn set(&mut self, key: &str, bytes: &[u8]) -> Result<(), Said> {
        let key = text(key);
        // SAFETY: the store is open; key and bytes outlive the call, which copies them.
        checked(|message| unsafe { xreport_store_set(self.raw, key.as_ptr(), bytes.as_ptr(), bytes.len(), message) })
            .map(drop)
    }

    /// The bytes under `key`; `None` where there are none in time.
    pub fn get(&mut self, key: &str, timeout: Duration) -> Result<Option<Vec<u8>>, Said> {
        let key = text(key);
        let (mut bytes, mut length) = (null_mut(), 0);
        // SAFETY: as in `set`.
        let code = checked(|message| unsafe {
            xreport_store_get(self.raw, key.as_ptr(), milliseconds(timeout), &raw mut bytes, &raw mut length, message)
        })?;
        if code == TIMED_OUT {
            return Ok(None);
        }
        // SAFETY: the shim has allocated `length` bytes, which nobody else has.
        let value = unsafe { (*slice_from_raw_parts(bytes, length)).to_vec() };
        // SAFETY: allocated by the shim, freed once.
        unsafe { xreport_free(bytes.cast()) };
        Ok(Some(value))
    }

    /// Whether there is something under `key`.
    pub fn has(&mut self, key: &str) -> Result<bool, Said> {
        let key = text(key);
        let mut has = 0;
        // SAFETY: as in `set`.
        checked(|message| unsafe { xreport_store_has(self.raw, key.as_ptr(), &raw mut has, message) })?;
        Ok(has != 0)
    }

    /// Adds `amount` to the number under `key`, 0 where there is none, for all processes in turn; the sum.
    pub fn add(&mut self, key: &str, amount: i64) -> Result<i64, Said> {
        let key = text(key);
        let mut sum = 0;
        // SAFETY: as in `set`.
        checked(|message| unsafe { xreport_store_add(self.raw, key.as_ptr(), amount, &raw mut sum, message) })?;
        Ok(sum)
    }

    /// Removes `key`, where it is there.
    pub fn delete(&mut self, key: &str) -> Result<(), Said> {
        let key = text(key);
        // SAFETY: as in `set`.
        checked(|message| unsafe { xreport_store_delete(self.raw, key.as_ptr(), message) }).map(drop)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: opened by us, closed once.
        unsafe { xreport_store_close(self.raw) };
    }
}

/// A copy of a CPU tensor in pinned memory, from which the GPU copies while the program goes on.
///
/// # Panics
/// Where there is no CUDA, or no memory left, as tch's own functions do.
pub fn pinned(tensor: &Tensor) -> Tensor {
    let mut copy = null_mut();
    // SAFETY: the tensor is alive during the call.
    if let Err(said) = checked(|message| unsafe { xreport_pin(tensor.as_ptr().cast(), &raw mut copy, message) }) {
        panic!("{said}");
    }
    // SAFETY: a new tensor of the shim's, which is ours from here on.
    unsafe { Tensor::from_ptr(copy.cast()) }
}

/// Adds up a tensor in place over all processes.
pub trait SumInPlace: Sync {
    /// Does it; `Err` where it cannot be done, which the implementation remembers.
    fn sum_in_place(&self, tensor: &mut Tensor) -> Result<(), ()>;
}

/// How our C++ adds up over all processes: a function and what it is called with. It keeps a pointer to a reference that
/// outlives every backward pass: hence `'static`.
#[derive(Debug, Clone, Copy)]
pub struct SumOver {
    call: extern "C" fn(*mut c_void, *mut RawTensor) -> c_int,
    context: *mut c_void,
}

impl SumOver {
    /// By `over`.
    pub fn new<S: SumInPlace>(over: &'static S) -> Self {
        Self { call: call_back::<S>, context: std::ptr::from_ref(over).cast_mut().cast() }
    }
}

/// The sum of `own` over all processes, differentiable: going back, gradients are added up in the same way.
///
/// # Panics
/// Where `over` fails, as tch's own functions do. So does a backward pass.
pub fn differentiable_sum(own: &Tensor, over: SumOver) -> Tensor {
    let mut sum = null_mut();
    // SAFETY: the tensor is alive; `context` is what `call` casts it to, and lives for ever.
    let done =
        checked(|message| unsafe { xreport_sum(own.as_ptr().cast(), over.call, over.context, &raw mut sum, message) });
    if let Err(said) = done {
        panic!("{said}");
    }
    // SAFETY: a new tensor of the shim's, which is ours from here on.
    unsafe { Tensor::from_ptr(sum.cast()) }
}

extern "C" fn call_back<S: SumInPlace>(context: *mut c_void, tensor: *mut RawTensor) -> c_int {
    let work = || {
        // SAFETY: `SumOver::new` has made it from a reference that lives for ever.
        let over = unsafe { &*context.cast_const().cast::<S>() };
        // SAFETY: the shim hands over a tensor that is alive during the call; the clone shares its memory.
        let mut tensor = unsafe { Tensor::clone_from_ptr(tensor.cast()) };
        let _no_grad = tch::no_grad_guard();
        over.sum_in_place(&mut tensor)
    };
    // A panic must not cross into C++.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => DONE,
        _ => DONE + 1,
    }
}

/// Calls the shim and makes an error of its message.
fn checked(call: impl FnOnce(*mut *mut c_char) -> c_int) -> Result<c_int, Said> {
    let mut message: *mut c_char = null_mut();
    match call(&raw mut message) {
        code @ (DONE | TIMED_OUT) => Ok(code),
        _ if message.is_null() => Err("no memory is left for a message".to_owned()),
        _ => {
            // SAFETY: the shim has written a string that ends with a zero.
            let said = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
            // SAFETY: allocated by the shim, freed once.
            unsafe { xreport_free(message.cast()) };
            Err(said)
        }
    }
}

/// A string for C. Keys and host names hold no zero; one that does is cut there.
fn text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).expect("cut before the first zero")
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    /// As if there were a second process with the same tensor.
    struct Twice;

    impl SumInPlace for Twice {
        fn sum_in_place(&self, tensor: &mut Tensor) -> Result<(), ()> {
            let _ = tensor.g_mul_scalar_(2.0);
            Ok(())
        }
    }

    struct Fails;

    impl SumInPlace for Fails {
        fn sum_in_place(&self, _: &mut Tensor) -> Result<(), ()> {
            Err(())
        }
    }

    #[test]
    fn a_sum_is_gone_back_through_as_a_sum() {
        let x = Tensor::from_slice(&[1.0f64, -2.0]).set_requires_grad(true);
        let sum = differentiable_sum(&(&x * 3.0), SumOver::new(&Twice));
        assert_eq!(Vec::<f64>::try_from(&sum.detach()).expect("one axis"), [6.0, -12.0]);
        let gradient = Tensor::run_backward(&[(&sum * &sum).sum(Kind::Double)], &[&x], false, false).remove(0);
        // d(s²)/ds = 2 s, twice for two processes, and 3 for each x.
        assert_eq!(Vec::<f64>::try_from(&gradient).expect("one axis"), [72.0, -144.0]);
        let failed = catch_unwind(|| differentiable_sum(&Tensor::from_slice(&[1.0f64]), SumOver::new(&Fails)));
        let panic = failed.expect_err("it fails");
        assert!(panic.downcast_ref::<String>().is_some_and(|said| said.contains("could not add up a tensor")));
    }

    #[test]
    fn two_connections_see_one_store() {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|held| held.local_addr());
        let port = port.expect("a free port").port();
        let (long, short) = (Duration::from_secs(20), Duration::from_millis(20));
        let mut host = Store::open("127.0.0.1", port, true, long).expect("served");
        let mut guest = Store::open("127.0.0.1", port, false, long).expect("reached");
        assert_eq!(guest.get("a", short), Ok(None), "nothing is there yet");
        let large = vec![7u8; 6 << 20];
        host.set("a", &large).expect("set");
        host.set("empty", &[]).expect("set");
        assert_eq!(guest.get("a", long), Ok(Some(large)));
        assert_eq!(guest.get("empty", long), Ok(Some(Vec::new())));
        assert_eq!([guest.add("n", 2), host.add("n", 3)], [Ok(2), Ok(5)]);
        guest.delete("a").expect("deleted");
        assert_eq!([host.has("a"), host.has("empty")], [Ok(false), Ok(true)]);
        let taken = Store::open("127.0.0.1", port, true, long).expect_err("the port is taken");
        assert!(taken.contains("EADDRINUSE"), "{taken}");
    }
}
