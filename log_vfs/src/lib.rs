//! A SQLite VFS over another one that hands what is written to a write-ahead log to the system in large
//! pieces.
//!
//! SQLite writes each page of a commit to its log with two calls of the system, one for the frame's head
//! and one for the page, one behind the other (`walWriteOneFrame` in its `wal.c`). Here such writes are put
//! together in memory, and go to the file when something else is wanted of it: a sync, a read, another
//! place, its length.
//!
//! **Why nobody can tell.** Nothing is written to the log but by a commit, in the order in which SQLite wants it,
//! and the commit syncs it last: to that, all is written before. Others learn of the commit's frames from the log's
//! index, which SQLite changes after the sync. What is lost with the process before the sync is what may be
//! lost with the power as well, and nobody was told of it. A write that fails is told by the call that made it
//! necessary, which is one of the same commit.
//!
//! For that, two settings of the connection are needed. With `PRAGMA synchronous` below `FULL`, others are told
//! of a commit before the sync. Without `PRAGMA cache_spill = OFF`, a large transaction writes to the log before
//! its commit; when it is rolled back, what waits would be written after the write lock was given up, over the
//! commits of others. Then, too, a transaction could go on after such a write had failed in a read.
//!
//! All other files are those of the VFS below, without anything between.

mod waiting;

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem;
use std::ptr;

use rusqlite::ffi;
use waiting::Waiting;

/// There is no VFS of the name that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// The name of a VFS over the one called `under`, or over the default one.
///
/// It is for connections with `PRAGMA synchronous = FULL` or above and `PRAGMA cache_spill = OFF`, which are set
/// before anything is written, and not for databases that are opened with the URI parameter `psow=0`.
///
/// # Errors
/// [`Unknown`].
pub fn over(under: Option<&str>) -> Result<String, Unknown> {
    let name = format!("joined log over {}", under.unwrap_or("the default"));
    let ours = CString::new(&*name).map_err(|_| Unknown)?;
    let below = under.map(CString::new).transpose().map_err(|_| Unknown)?;
    let below = below.as_ref().map_or(ptr::null(), |name| name.as_ptr());
    // SAFETY: both are strings that end with a zero, or none; SQLite keeps its VFS for ever.
    let (below, known) = unsafe {
        let below = ffi::sqlite3_vfs_find(below);
        (below, ffi::sqlite3_vfs_find(ours.as_ptr()))
    };
    if below.is_null() {
        return Err(Unknown);
    }
    if known.is_null() {
        register(below, ours)?;
    }
    Ok(name)
}

/// Two threads that do this at the same time register two of the same name, of which one is used.
fn register(below: *mut ffi::sqlite3_vfs, name: CString) -> Result<(), Unknown> {
    // SAFETY: it was found, so it points to a whole one. Everything but the opening of files stays as it is
    // there: its functions learn from their arguments on what they work.
    let mut ours = Box::new(unsafe { ptr::read(below) });
    // SAFETY: as above.
    ours.szOsFile += OURS_BYTES;
    ours.pNext = ptr::null_mut();
    ours.zName = name.into_raw();
    ours.pAppData = below.cast();
    ours.xOpen = Some(open);
    // SAFETY: neither it nor its name is ever freed.
    let registered = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(ours), 0) };
    if registered == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(Unknown)
    }
}

/// Our part of an open log; SQLite allots the room for it, and for that of the VFS below behind it.
#[repr(C)]
struct LogFile {
    base: ffi::sqlite3_file,
    waiting: *mut Waiting,
    /// Whether a write may wait. Where one may damage what is beside it when the power fails, SQLite writes more
    /// behind the sync (`padToSectorBoundary` in its `wal.c`), and it is not asked for afterwards.
    joins: bool,
}

/// With the room for [`LogFile`], what is behind it may be anything.
const OURS: usize = mem::size_of::<LogFile>().next_multiple_of(16);
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "it is 16"
)]
const OURS_BYTES: c_int = OURS as c_int;

/// A log that is open: what waits, and the file of the VFS below.
struct Log<'a> {
    waiting: &'a mut Waiting,
    joins: bool,
    file: *mut ffi::sqlite3_file,
    methods: &'a ffi::sqlite3_io_methods,
}

impl Log<'_> {
    /// # Safety
    /// `file` was opened by [`open`] as a log and is not closed, and nobody else uses it: SQLite lets one
    /// thread at a time use the files of a connection.
    unsafe fn of(file: *mut ffi::sqlite3_file) -> Self {
        // SAFETY: `open` has set both, and they live until `close`.
        unsafe {
            let below = below(file);
            let ours = file.cast::<LogFile>();
            Self {
                waiting: &mut *(*ours).waiting,
                joins: (*ours).joins,
                file: below,
                methods: &*(*below).pMethods,
            }
        }
    }

    /// Writes what waits. When that fails, it is forgotten: the commit that it is of fails.
    fn write_waiting(&mut self) -> c_int {
        let Some((at, bytes)) = self.waiting.next() else {
            return ffi::SQLITE_OK;
        };
        let Some(write) = self.methods.xWrite else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        let Ok(amount) = c_int::try_from(bytes.len()) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: the file is open, and so many bytes are there.
        let written = unsafe { write(self.file, bytes.as_ptr().cast(), amount, at) };
        self.waiting.clear();
        written
    }
}

/// The file of the VFS below.
///
/// # Safety
/// `file` has the room that our VFS asks for.
unsafe fn below(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: it is within that room, and as well aligned as the whole.
    unsafe { file.byte_add(OURS) }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS that `register` has made, and with room for a file of it.
    unsafe {
        let under: *mut ffi::sqlite3_vfs = (*vfs).pAppData.cast();
        let Some(open_below) = (*under).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        if flags & ffi::SQLITE_OPEN_WAL == 0 {
            return open_below(under, name, file, flags, out_flags);
        }
        (*file).pMethods = ptr::null();
        let opened = open_below(under, name, below(file), flags, out_flags);
        if opened == ffi::SQLITE_OK {
            let methods = &*(*below(file)).pMethods;
            let known = (methods.xDeviceCharacteristics).map_or(0, |known| known(below(file)));
            let ours = file.cast::<LogFile>();
            (*ours).waiting = Box::into_raw(Box::default());
            (*ours).joins = known & ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0;
            (*file).pMethods = &raw const METHODS;
        }
        opened
    }
}

/// What waits is of no commit: that would have synced it.
unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it is one of ours; after this call SQLite does not use it any more.
    unsafe {
        let log = Log::of(file);
        let closed = (log.methods.xClose).map_or(ffi::SQLITE_OK, |close| close(log.file));
        drop(Box::from_raw((*file.cast::<LogFile>()).waiting));
        closed
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let Ok(length) = usize::try_from(amount) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    if length == 0 {
        return ffi::SQLITE_OK;
    }
    // SAFETY: it is one of ours, and SQLite gives as many bytes as it says.
    let (mut log, bytes) = unsafe {
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), length);
        (Log::of(file), bytes)
    };
    if !log.waiting.takes(at, length) {
        let written = log.write_waiting();
        if written != ffi::SQLITE_OK {
            return written;
        }
    }
    if log.waiting.push(at, bytes).is_err() {
        // The commit fails, and what it has written with it.
        log.waiting.clear();
        return ffi::SQLITE_IOERR_NOMEM;
    }
    if log.joins {
        ffi::SQLITE_OK
    } else {
        log.write_waiting()
    }
}

/// Methods of the file below, before which what waits is written.
macro_rules! after_writing {
    ($($name:ident($($arg:ident: $kind:ty),*) = $method:ident;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $kind),*) -> c_int {
            // SAFETY: it is one of ours, and the arguments are for the file below.
            unsafe {
                let mut log = Log::of(file);
                let written = log.write_waiting();
                if written != ffi::SQLITE_OK {
                    return written;
                }
                match log.methods.$method {
                    Some(method) => method(log.file, $($arg),*),
                    None => ffi::SQLITE_NOTFOUND,
                }
            }
        }
    )*};
}

after_writing! {
    read(into: *mut c_void, amount: c_int, at: ffi::sqlite3_int64) = xRead;
    truncate(size: ffi::sqlite3_int64) = xTruncate;
    sync(flags: c_int) = xSync;
    file_size(size: *mut ffi::sqlite3_int64) = xFileSize;
    lock(level: c_int) = xLock;
    unlock(level: c_int) = xUnlock;
    check_lock(held: *mut c_int) = xCheckReservedLock;
    control(op: c_int, arg: *mut c_void) = xFileControl;
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it is one of ours.
    unsafe {
        let log = Log::of(file);
        log.methods.xSectorSize.map_or(0, |size| size(log.file))
    }
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it is one of ours.
    unsafe {
        let log = Log::of(file);
        (log.methods.xDeviceCharacteristics).map_or(0, |characteristics| characteristics(log.file))
    }
}

/// Of the first version: the others are about databases and what is mapped of them.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};
