//! Batches that would become too large once decompressed. librdkafka calls the two functions here in place of its own; beside
//! `native.rs` the only module with `unsafe` code, since that one is part of a benchmark too, and a program has each once.
#![expect(
    unsafe_code,
    reason = "librdkafka has no limit for gzip and lz4, and no setting for one"
)]

use std::ffi::{c_char, c_int, c_void};
use std::io::Read;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use rdkafka_sys::bindings as sys;

use crate::config::MAX_BATCH_BYTES;
use crate::kafka::lz4;

/// The most bytes that a batch decompresses to.
static LIMIT: AtomicU64 = AtomicU64::new(MAX_BATCH_BYTES);

/// Bounds what a batch of any consumer of this process may decompress to.
pub(crate) fn limit_batches(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

// The functions below take the place of librdkafka's own, whose signatures may change with its version.
const _: () = assert!(
    sys::RD_KAFKA_VERSION == 0x020c_01ff,
    "compare what follows with librdkafka's rdgz.h and rdkafka_lz4.h"
);

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
}

/// Decompresses a gzip batch for librdkafka, but none that is larger than `source.max_batch_bytes`.
///
/// librdkafka's function of this name (rdgz.c) has no limit: a batch of 592 KB can become 540 MB. No setting bounds it. The name
/// is all that its object in the static library defines, so that a linker that knows ours does not take that object in
/// (tests/batches.rs notices if it does). A patched librdkafka would be a copy of it to maintain. The answer is what
/// librdkafka's gives: null for what cannot be decompressed.
///
/// # Safety
/// `compressed` begins `compressed_len` bytes, and `decompressed_len` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn rd_gz_decompress(
    compressed: *const c_void,
    compressed_len: c_int,
    decompressed_len: *mut u64,
) -> *mut c_void {
    // SAFETY: as the caller says. The memory is librdkafka's from here on, which frees it; it is null or has `size` bytes and a
    // zero behind them, as rdgz.h promises.
    unsafe {
        let compressed = bytes(
            compressed.cast::<u8>(),
            usize::try_from(compressed_len).unwrap_or_default(),
        );
        let Some(size) = gzip_size(compressed, LIMIT.load(Ordering::Relaxed)) else {
            return ptr::null_mut();
        };
        let memory = malloc(size + 1).cast::<u8>();
        if memory.is_null() {
            return ptr::null_mut();
        }
        ptr::write_bytes(memory, 0, size + 1);
        if GzDecoder::new(compressed)
            .read_exact(std::slice::from_raw_parts_mut(memory, size))
            .is_err()
        {
            free(memory.cast());
            return ptr::null_mut();
        }
        *decompressed_len = u64::try_from(size).unwrap_or_default();
        memory.cast()
    }
}

#[cfg(target_os = "linux")]
unsafe extern "C" {
    /// librdkafka's own function, where build.rs has the linker pass `--wrap`, which the linkers of other systems lack.
    fn __real_rd_kafka_lz4_decompress(
        broker: *mut c_void,
        has_proper_checksum: c_int,
        offset: i64,
        compressed: *mut c_char,
        compressed_len: usize,
        decompressed: *mut *mut c_void,
        decompressed_len: *mut usize,
    ) -> sys::rd_kafka_resp_err_t;
}

/// Has librdkafka decompress an LZ4 batch, but none that is larger than `source.max_batch_bytes`: its buffer grows without a
/// limit (rdkafka_lz4.c), to 255 times the batch.
///
/// Its object defines the compressor too, so that it cannot be left out as that of gzip; the linker has its callers call this.
///
/// # Safety
/// The pointers are what librdkafka calls its own function with.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_lz4_decompress(
    broker: *mut c_void,
    has_proper_checksum: c_int,
    offset: i64,
    compressed: *mut c_char,
    compressed_len: usize,
    decompressed: *mut *mut c_void,
    decompressed_len: *mut usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: as the caller says: `compressed` begins `compressed_len` bytes, `decompressed` can be written.
    unsafe {
        if !lz4::fits(
            bytes(compressed.cast::<u8>(), compressed_len),
            LIMIT.load(Ordering::Relaxed),
        ) {
            *decompressed = ptr::null_mut();
            return sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
        }
        __real_rd_kafka_lz4_decompress(
            broker,
            has_proper_checksum,
            offset,
            compressed,
            compressed_len,
            decompressed,
            decompressed_len,
        )
    }
}

/// Returns what gzip decompresses to; nothing where it is damaged, or has more than `limit` bytes.
fn gzip_size(compressed: &[u8], limit: u64) -> Option<usize> {
    let mut bounded = GzDecoder::new(compressed).take(limit.saturating_add(1));
    let size = std::io::copy(&mut bounded, &mut std::io::sink()).ok()?;
    if size > limit {
        None
    } else {
        usize::try_from(size).ok()
    }
}

/// Returns bytes of librdkafka's, none where the pointer is null.
///
/// # Safety
/// `first` is null, or begins `count` bytes that live for `'a`.
unsafe fn bytes<'a>(first: *const u8, count: usize) -> &'a [u8] {
    // SAFETY: as the caller says.
    if first.is_null() {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}
