//! A SQLite VFS over the default one that fails on request: a disk that is full, reads and syncs
//! that fail, and a power cut that takes everything that was not synced.
//!
//! Writes go through to the real file at once; what they overwrite is remembered until the file is
//! synced. [`Faults::cut_power`] puts it back, newest first. So whoever reads the file meanwhile (the
//! log scan, another connection) sees what a running system would see, and after the cut what the
//! disk would have kept in the worst case. Not modelled: writes that reach the disk although they
//! were not synced, and creations, renames and deletions, which count as durable at once.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

/// The name to open databases with.
pub const NAME: &str = "faulty";

/// Bytes of a piece of a write. Each counts: whatever goes wrong may do so between two of them.
const PIECE_BYTES: c_int = 2048;

/// What shall go wrong with one database, its log and other files beside it included.
#[derive(Default)]
pub struct Faults {
    /// Pieces of writes until the disk is full; negative: never.
    room_left: AtomicI64,
    /// While this file exists, writes fail as on a full disk.
    full_while: Mutex<Option<PathBuf>>,
    /// Pieces until one fails with EIO, and all that follow; negative: never.
    writes_left: AtomicI64,
    /// Likewise for syncs.
    syncs_left: AtomicI64,
    /// The power is off: nothing works.
    dead: AtomicBool,
    unsynced: Mutex<HashMap<PathBuf, Vec<Undo>>>,
    writes: AtomicU64,
    syncs: AtomicU64,
}

/// What a file held before an operation: its length, and bytes at a place.
struct Undo {
    length: u64,
    at: u64,
    bytes: Vec<u8>,
}

static REGISTRY: Mutex<Vec<(PathBuf, Arc<Faults>)>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches over the database at `path`, which must be absolute.
pub fn watch(path: &Path) -> Arc<Faults> {
    register();
    let faults = Arc::new(Faults::default());
    faults.heal();
    lock(&REGISTRY).push((path.to_owned(), Arc::clone(&faults)));
    faults
}

impl Faults {
    /// Everything works again.
    pub fn heal(&self) {
        self.room_left.store(-1, Ordering::SeqCst);
        *lock(&self.full_while) = None;
        self.writes_left.store(-1, Ordering::SeqCst);
        self.syncs_left.store(-1, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }

    /// After so many more pieces the disk is full.
    pub fn fill_disk_after(&self, pieces: i64) {
        self.room_left.store(pieces, Ordering::SeqCst);
    }

    /// The disk is full for as long as there is a file at `path`.
    pub fn fill_disk_while(&self, path: &Path) {
        *lock(&self.full_while) = Some(path.to_owned());
    }

    /// After so many more pieces, writes fail with EIO.
    pub fn fail_writes_after(&self, pieces: i64) {
        self.writes_left.store(pieces, Ordering::SeqCst);
    }

    /// After so many more syncs, they fail with EIO.
    pub fn fail_syncs_after(&self, syncs: i64) {
        self.syncs_left.store(syncs, Ordering::SeqCst);
    }

    /// From now on nothing reaches the disk. Let go of all connections, then [`Faults::cut_power`].
    pub fn stop(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Takes back everything that was not synced, and lets files be opened again.
    pub fn cut_power(&self) {
        for (path, mut undos) in lock(&self.unsynced).drain() {
            let file = OpenOptions::new().write(true).open(&path);
            let Ok(file) = file else { continue };
            while let Some(undo) = undos.pop() {
                file.set_len(undo.length).expect("set the length back");
                file.write_all_at(&undo.bytes, undo.at)
                    .expect("put bytes back");
            }
        }
        self.heal();
    }

    /// Whole writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    fn is_full(&self) -> bool {
        Self::is_spent(&self.room_left)
            || lock(&self.full_while)
                .as_ref()
                .is_some_and(|path| path.exists())
    }

    fn is_spent(left: &AtomicI64) -> bool {
        let spend = |left: i64| (left > 0).then_some(left - 1);
        left.load(Ordering::SeqCst) >= 0
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
                .is_err()
    }

    /// Remembers what is about to be changed.
    fn remember(&self, path: &Path, at: u64, length: usize, cut_to: Option<u64>) {
        let Ok(file) = OpenOptions::new().read(true).open(path) else {
            return;
        };
        let was = file.metadata().map_or(0, |metadata| metadata.len());
        let at = cut_to.unwrap_or(at);
        let end = if cut_to.is_some() {
            was
        } else {
            was.min(at + length as u64)
        };
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(at)).expect("fits")];
        file.read_exact_at(&mut bytes, at.min(was))
            .expect("read what is overwritten");
        let undo = Undo {
            length: was,
            at,
            bytes,
        };
        lock(&self.unsynced)
            .entry(path.to_owned())
            .or_default()
            .push(undo);
    }
}

/// Our part of an open file; SQLite allots the room for it and for the real one behind it.
#[repr(C)]
struct OurFile {
    base: ffi::sqlite3_file,
    state: *mut Watched,
}

struct Watched {
    path: PathBuf,
    faults: Option<Arc<Faults>>,
}

const OUR_BYTES: usize = size_of::<OurFile>().next_multiple_of(16);

/// The real file behind ours.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    unsafe { file.cast::<u8>().add(OUR_BYTES).cast() }
}

unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> &'a Watched {
    unsafe { &*(*file.cast::<OurFile>()).state }
}

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $kind:ty),*) = $method:ident;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $kind),*) -> c_int {
            unsafe {
                let real = real(file);
                match (*(*real).pMethods).$method {
                    Some(method) => method(real, $($arg),*),
                    None => ffi::SQLITE_NOTFOUND,
                }
            }
        }
    )*};
}

pass_on! {
    file_size(size: *mut ffi::sqlite3_int64) = xFileSize;
    lock_file(level: c_int) = xLock;
    unlock_file(level: c_int) = xUnlock;
    check_lock(held: *mut c_int) = xCheckReservedLock;
    file_control(op: c_int, arg: *mut c_void) = xFileControl;
    sector_size() = xSectorSize;
    characteristics() = xDeviceCharacteristics;
    shm_map(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) = xShmMap;
    shm_lock(offset: c_int, n: c_int, flags: c_int) = xShmLock;
    shm_unmap(delete: c_int) = xShmUnmap;
    fetch(offset: ffi::sqlite3_int64, amount: c_int, at: *mut *mut c_void) = xFetch;
    unfetch(offset: ffi::sqlite3_int64, at: *mut c_void) = xUnfetch;
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let real = real(file);
        let closed = (*(*real).pMethods)
            .xClose
            .map_or(ffi::SQLITE_OK, |close| close(real));
        drop(Box::from_raw((*file.cast::<OurFile>()).state));
        closed
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    unsafe {
        if let Some(faults) = &watched(file).faults
            && faults.dead.load(Ordering::SeqCst)
        {
            return ffi::SQLITE_IOERR_READ;
        }
        let real = real(file);
        (*(*real).pMethods)
            .xRead
            .map_or(ffi::SQLITE_IOERR_READ, |read| read(real, into, amount, at))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    unsafe {
        let Watched { path, faults } = watched(file);
        let real = real(file);
        let Some(write) = (*(*real).pMethods).xWrite else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        let Some(faults) = faults else {
            return write(real, from, amount, at);
        };
        faults.writes.fetch_add(1, Ordering::SeqCst);
        // A disk may do a part of what it is asked for.
        let mut done = 0;
        while done < amount {
            let piece = PIECE_BYTES.min(amount - done);
            if faults.dead.load(Ordering::SeqCst) || Faults::is_spent(&faults.writes_left) {
                return ffi::SQLITE_IOERR_WRITE;
            }
            if faults.is_full() {
                return ffi::SQLITE_FULL;
            }
            let at = at + ffi::sqlite3_int64::from(done);
            faults.remember(
                path,
                at.cast_unsigned(),
                piece.unsigned_abs() as usize,
                None,
            );
            let from = from.byte_add(done.unsigned_abs() as usize);
            let written = write(real, from, piece, at);
            if written != ffi::SQLITE_OK {
                return written;
            }
            done += piece;
        }
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    unsafe {
        let Watched { path, faults } = watched(file);
        if let Some(faults) = faults {
            if faults.dead.load(Ordering::SeqCst) {
                return ffi::SQLITE_IOERR_TRUNCATE;
            }
            faults.remember(path, 0, 0, Some(size.cast_unsigned()));
        }
        let real = real(file);
        (*(*real).pMethods)
            .xTruncate
            .map_or(ffi::SQLITE_IOERR_TRUNCATE, |truncate| truncate(real, size))
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    unsafe {
        let Watched { path, faults } = watched(file);
        if let Some(faults) = faults {
            faults.syncs.fetch_add(1, Ordering::SeqCst);
            if faults.dead.load(Ordering::SeqCst) || Faults::is_spent(&faults.syncs_left) {
                return ffi::SQLITE_IOERR_FSYNC;
            }
            lock(&faults.unsynced).remove(path);
            // Nothing is gained from waiting for the real disk.
            return ffi::SQLITE_OK;
        }
        let real = real(file);
        (*(*real).pMethods)
            .xSync
            .map_or(ffi::SQLITE_IOERR_FSYNC, |sync| sync(real, flags))
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(unlock_file),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    unsafe {
        (*file).pMethods = std::ptr::null();
        let under: *mut ffi::sqlite3_vfs = (*vfs).pAppData.cast();
        let Some(under_open) = (*under).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let real = real(file);
        let opened = under_open(under, name, real, flags, out_flags);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let path = if name.is_null() {
            PathBuf::new()
        } else {
            PathBuf::from(CStr::from_ptr(name).to_string_lossy().into_owned())
        };
        let faults = faults_of(&path);
        let state = Box::new(Watched { path, faults });
        (*file.cast::<OurFile>()).state = Box::into_raw(state);
        (*file).pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

fn faults_of(path: &Path) -> Option<Arc<Faults>> {
    let path = path.as_os_str().as_encoded_bytes();
    let registry = lock(&REGISTRY);
    let mut found = registry
        .iter()
        .rev()
        .filter(|(watched, _)| path.starts_with(watched.as_os_str().as_encoded_bytes()));
    found.next().map(|(_, faults)| Arc::clone(faults))
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| unsafe {
        let under = ffi::sqlite3_vfs_find(std::ptr::null());
        // Everything but the opening of files is the default one's; its functions take the file
        // system from nowhere but their arguments.
        let mut ours = Box::new(std::ptr::read(under));
        ours.szOsFile = c_int::try_from(OUR_BYTES).expect("small") + (*under).szOsFile;
        ours.pNext = std::ptr::null_mut();
        ours.zName = CString::new(NAME).expect("no zero in it").into_raw();
        ours.pAppData = under.cast();
        ours.xOpen = Some(open);
        let registered = ffi::sqlite3_vfs_register(Box::into_raw(ours), 0);
        assert_eq!(registered, ffi::SQLITE_OK);
    });
}
