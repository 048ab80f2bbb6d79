//! `native/cuda_graph.cpp`, carried in this program and loaded beside libtorch's CUDA library.
#![allow(unsafe_code, reason = "calls our C++ library that is loaded at run time")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use anyhow::Context;

/// The compiled library; empty where the program was built without CUDA's headers.
const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libxreport_cuda.so"));

type Free = unsafe extern "C" fn(*mut c_void);
type LeaveDefaultStream = unsafe extern "C" fn(c_int, *mut *mut c_char) -> c_int;
type Begin = unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut *mut c_char) -> c_int;
type OnGraph = unsafe extern "C" fn(*mut c_void, *mut *mut c_char) -> c_int;

/// What the library says of a failure.
type Said = String;

/// The library's functions.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    free: Free,
    leave_default_stream: LeaveDefaultStream,
    begin: Begin,
    end: OnGraph,
    replay: OnGraph,
    free_graph: Free,
}

/// A captured step, or one that is being captured.
#[derive(Debug)]
pub struct Graph {
    library: Library,
    handle: Arc<Handle>,
}

/// What others that share its memory keep alive.
#[derive(Debug)]
pub struct Handle {
    raw: NonNull<c_void>,
    free: Free,
}

// SAFETY: a graph is bound to a device, not to a thread; calls follow each other, for a run makes one step at a time.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by the library, freed once, by the last owner.
        unsafe { (self.free)(self.raw.as_ptr()) }
    }
}

impl Library {
    /// Loads it; libtorch's CUDA library is in the process already.
    pub fn load() -> anyhow::Result<Self> {
        anyhow::ensure!(
            !BYTES.is_empty(),
            "this program was built without CUDA's headers\nhint: cargo xtask setup fetches them; then build again"
        );
        // The loader wants a file; once it is loaded, the file is not needed any more.
        let mut file = tempfile::Builder::new().prefix("xreport-cuda-").suffix(".so").tempfile()?;
        file.write_all(BYTES).and_then(|()| file.flush()).context("its library cannot be written")?;
        let found = open(file.path()).with_context(|| {
            format!(
                "`{}` cannot be loaded\nhint: training.ML_DEVICE must be CUDA; TMPDIR must allow programs",
                file.path().display()
            )
        })?;
        Ok(found)
    }

    /// See `xreport_cuda_leave_default_stream`.
    pub fn leave_default_stream(&self, device: usize) -> Result<(), Said> {
        // SAFETY: the signature is ours.
        self.checked(|message| unsafe { (self.leave_default_stream)(device as c_int, message) })
    }

    /// Begins to capture what this thread computes; in the memory pool of another graph, where there is one.
    pub fn begin(self, like: Option<&Arc<Handle>>) -> Result<Graph, Said> {
        let like = like.map_or(null_mut(), |handle| handle.raw.as_ptr());
        let mut raw = null_mut();
        // SAFETY: the signature is ours; the other graph is alive.
        self.checked(|message| unsafe { (self.begin)(like, &raw mut raw, message) })?;
        let raw = NonNull::new(raw).ok_or("no graph was begun")?;
        Ok(Graph { library: self, handle: Arc::new(Handle { raw, free: self.free_graph }) })
    }

    fn checked(&self, call: impl FnOnce(*mut *mut c_char) -> c_int) -> Result<(), Said> {
        let mut message = null_mut();
        if call(&raw mut message) == 0 {
            return Ok(());
        }
        if message.is_null() {
            return Err("no reason is given".to_owned());
        }
        // SAFETY: a string of the library's, which ends with a zero.
        let said = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
        // SAFETY: allocated by the library, freed once.
        unsafe { (self.free)(message.cast()) };
        Err(said)
    }
}

impl Graph {
    /// Ends the capture; nothing has been computed yet.
    pub fn end(&self) -> Result<(), Said> {
        self.call(self.library.end)
    }

    /// Computes what was captured.
    pub fn replay(&self) -> Result<(), Said> {
        self.call(self.library.replay)
    }

    /// For another graph that is to share its memory.
    pub fn share(&self) -> Arc<Handle> {
        Arc::clone(&self.handle)
    }

    fn call(&self, function: OnGraph) -> Result<(), Said> {
        // SAFETY: the graph is alive.
        self.library.checked(|message| unsafe { function(self.handle.raw.as_ptr(), message) })
    }
}

#[cfg(unix)]
fn open(path: &std::path::Path) -> anyhow::Result<Library> {
    use libloading::os::unix::{Library as Shared, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: our own library, whose initialisers do nothing.
    let library = unsafe { Shared::open(Some(path), RTLD_NOW | RTLD_LOCAL) }?;
    // SAFETY: the types are those of the functions in native/cuda_graph.cpp.
    let found = unsafe {
        Library {
            free: *library.get(b"xreport_cuda_free\0")?,
            leave_default_stream: *library.get(b"xreport_cuda_leave_default_stream\0")?,
            begin: *library.get(b"xreport_cuda_graph_begin\0")?,
            end: *library.get(b"xreport_cuda_graph_end\0")?,
            replay: *library.get(b"xreport_cuda_graph_replay\0")?,
            free_graph: *library.get(b"xreport_cuda_graph_free\0")?,
        }
    };
    // Its functions are used until the process ends.
    std::mem::forget(library);
    Ok(found)
}

#[cfg(not(unix))]
fn open(_: &std::path::Path) -> anyhow::Result<Library> {
    anyhow::bail!("training on CUDA is for Linux, or Windows through WSL2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_libtorchs_cuda_library_it_is_told() {
        let told = format!("{:#}", Library::load().expect_err("no CUDA here"));
        assert!(told.contains("hint: "), "{told}");
        // Built with CUDA's headers, it is the missing library that is named.
        assert!(BYTES.is_empty() || told.contains("undefined symbol"), "{told}");
    }
}
