//! NCCL, NVIDIA's collective operations between GPUs, for gradients that lie there.
//!
//! libtorch's CUDA library brings it into the process; its C interface is called as it stands, so that no CUDA header is
//! needed to build this program and one binary serves machines with and without a GPU. Sums run on the stream on which
//! libtorch computes (CUDA's default stream): they take their turn among its kernels, and nothing has to wait on the CPU.
#![allow(unsafe_code, reason = "calls a C library that was loaded at run time")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use tch::{Kind, Tensor};

use super::error::RanksError;

/// `NCCL_UNIQUE_ID_BYTES`.
const ID_BYTES: usize = 128;
/// `ncclSum`.
const SUM: c_int = 0;
/// `ncclFloat32`, `ncclFloat64`.
const FLOAT: c_int = 7;
const DOUBLE: c_int = 8;

#[repr(C)]
#[derive(Clone, Copy)]
struct UniqueId([c_char; ID_BYTES]);

type GetUniqueId = unsafe extern "C" fn(*mut UniqueId) -> c_int;
type CommInitRank = unsafe extern "C" fn(*mut *mut c_void, c_int, UniqueId, c_int) -> c_int;
type AllReduce =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, *mut c_void, *mut c_void) -> c_int;
type GetErrorString = unsafe extern "C" fn(c_int) -> *const c_char;
type CudaSetDevice = unsafe extern "C" fn(c_int) -> c_int;

/// A communicator over all ranks.
#[derive(Debug)]
pub struct Nccl {
    communicator: *mut c_void,
    all_reduce: AllReduce,
}

// SAFETY: calls of one process follow each other (forward and backward pass of one step), whichever thread makes them.
unsafe impl Send for Nccl {}
// SAFETY: as above.
unsafe impl Sync for Nccl {}

impl Nccl {
    /// Rank 0 makes what the others join by.
    pub fn unique_id() -> Result<Vec<u8>, RanksError> {
        let get: GetUniqueId = symbol(c"ncclGetUniqueId")?;
        let mut id = UniqueId([0; ID_BYTES]);
        // SAFETY: the signature is nccl.h's; `id` is as large as it says.
        checked("ncclGetUniqueId", unsafe { get(&raw mut id) })?;
        Ok(id.0.iter().map(|byte| byte.cast_unsigned()).collect())
    }

    /// Joins the others; all ranks call it at once, each with a GPU of its own.
    pub fn join(id: &[u8], rank: usize, world: usize, device: usize) -> Result<Self, RanksError> {
        let mut raw = UniqueId([0; ID_BYTES]);
        raw.0.iter_mut().zip(id).for_each(|(to, from)| *to = from.cast_signed());
        let set_device: CudaSetDevice = symbol(c"cudaSetDevice")?;
        // SAFETY: the signature is CUDA's.
        checked("cudaSetDevice", unsafe { set_device(device as c_int) })?;
        let init: CommInitRank = symbol(c"ncclCommInitRank")?;
        let mut communicator = null_mut();
        // SAFETY: the signature is nccl.h's.
        checked("ncclCommInitRank", unsafe { init(&raw mut communicator, world as c_int, raw, rank as c_int) })?;
        Ok(Self { communicator, all_reduce: symbol(c"ncclAllReduce")? })
    }

    /// Adds up a contiguous tensor of floats or doubles over all ranks, in place.
    pub fn sum(&self, tensor: &mut Tensor) -> Result<(), RanksError> {
        let kind = if tensor.kind() == Kind::Double { DOUBLE } else { FLOAT };
        let (data, count) = (tensor.data_ptr(), tensor.numel());
        // SAFETY: the tensor is contiguous, lies on our device and outlives the call: libtorch frees memory in the order
        // of the same stream (null: the default one), on which the sum runs.
        checked("ncclAllReduce", unsafe {
            (self.all_reduce)(data, data, count, kind, SUM, self.communicator, null_mut())
        })
    }
}

/// A function of a library that is in the process already.
fn symbol<T: Copy>(name: &'static CStr) -> Result<T, RanksError> {
    let missing = |said: String| RanksError::Nccl { call: "the search for its functions", said };
    #[cfg(unix)]
    {
        let process = libloading::os::unix::Library::this();
        // SAFETY: `T` is the function's type, by nccl.h and cuda_runtime_api.h, wherever this is called.
        let found = unsafe { process.get::<T>(name.to_bytes_with_nul()) };
        found.map(|symbol| *symbol).map_err(|error| missing(error.to_string()))
    }
    #[cfg(not(unix))]
    Err(missing(format!("`{}`: training on CUDA is for Linux, or Windows through WSL2", name.to_string_lossy())))
}

fn checked(call: &'static str, code: c_int) -> Result<(), RanksError> {
    if code == 0 {
        return Ok(());
    }
    let said = symbol::<GetErrorString>(c"ncclGetErrorString").ok().filter(|_| call.starts_with("nccl")).map(|text| {
        // SAFETY: the signature is nccl.h's, whose strings are constants.
        unsafe { CStr::from_ptr(text(code)) }.to_string_lossy().into_owned()
    });
    Err(RanksError::Nccl { call, said: said.unwrap_or_else(|| format!("error {code}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_cuda_is_told_so() {
        let told = Nccl::unique_id().expect_err("no CUDA here").to_string();
        assert!(told.contains("ncclGetUniqueId") && told.contains("hint: "), "{told}");
    }
}
