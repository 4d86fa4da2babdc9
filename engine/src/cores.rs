//! Work on every core: pieces of one epoch that do not need each other.
//!
//! It ends before the caller goes on, so that pieces may borrow what the caller holds; work [`beside`]
//! the epochs has a thread of its own. It must never be used for work that waits for a server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use thread_priority::{ThreadPriority, ThreadPriorityValue};

use crate::error::{Error, Result};

/// The priority of work beside the epochs, of 99, where theirs is about 50: ten steps of niceness. It
/// gets a tenth of a core that epochs want too, and all that they leave.
const BESIDE: u8 = 22;

/// What a thread made, by place; or its panic.
type Ended<R> = std::thread::Result<Result<Vec<(usize, R)>>>;

/// Does the work for each piece, and answers in their order; the first error ends it.
pub fn run<T: Send, R: Send>(
    pieces: Vec<T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let workers = count().min(pieces.len());
    if workers <= 1 && tokio::runtime::Handle::try_current().is_err() {
        return pieces.into_iter().map(work).collect();
    }
    let queue = Mutex::new(pieces.into_iter().enumerate());
    let next = || queue.lock().ok().and_then(|mut pieces| pieces.next());
    let failed = AtomicBool::new(false);
    let take = || {
        let mut made = Vec::new();
        while let Some((at, piece)) = next().filter(|_| !failed.load(Ordering::Relaxed)) {
            let done = work(piece).inspect_err(|_| failed.store(true, Ordering::Relaxed));
            made.push((at, done?));
        }
        Ok(made)
    };
    // Every thread is joined before any answer is looked at: a scope panics over one that is not.
    let ended: Vec<Ended<R>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut made = Vec::new();
    for part in ended {
        made.extend(part.map_err(|_| Error::bug("a piece of an epoch ended in a panic"))??);
    }
    made.sort_by_key(|(at, _)| *at);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

/// The same, the largest begun first, so that none is left to the end alone.
pub fn run_largest_first<T: Send, R: Send>(
    pieces: Vec<T>,
    size: impl Fn(&T) -> u64,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut placed: Vec<(usize, T)> = pieces.into_iter().enumerate().collect();
    placed.sort_by_cached_key(|(_, piece)| std::cmp::Reverse(size(piece)));
    let mut made = run(placed, |(at, piece)| Ok((at, work(piece)?)))?;
    made.sort_by_key(|(at, _)| *at);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

/// Work beside the epochs, on a thread of its own that gives way to theirs.
pub async fn beside<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name("beside".to_owned()).spawn(move || {
        give_way();
        let _ = tell.send(work());
    });
    started.map_err(|e| Error::unavailable("cannot start a thread", e))?;
    told.await.map_err(|_| Error::bug("work beside the epochs ended in a panic"))
}

/// A system that does not let it costs the epochs some time.
fn give_way() {
    let given = ThreadPriorityValue::try_from(BESIDE)
        .map(|value| ThreadPriority::Crossplatform(value).set_for_current());
    if !matches!(given, Ok(Ok(()))) {
        tracing::debug!("work beside the epochs has their priority");
    }
}

/// How many cores there are.
pub fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Waits for work whose tasks run on every core, within [`run`].
pub fn wait_wide<R: Send>(work: impl Future<Output = R> + Send) -> Result<R> {
    let cannot = |e| Error::unavailable("cannot start threads", e);
    let wide = || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(count()).build().map_err(cannot)?;
        Ok(runtime.block_on(work))
    };
    let ended = std::thread::scope(|scope| scope.spawn(wide).join());
    ended.map_err(|_| Error::bug("a piece of an epoch ended in a panic"))?
}

/// Waits for work that needs no server, within [`run`].
pub fn wait_for<F: Future>(work: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::unavailable("cannot start a thread's runtime", e))?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_pieces() {
        let made = run((0..100).collect(), |n: u32| wait_for(async move { n * 2 })).unwrap();
        assert_eq!(made, (0..100).map(|n| n * 2).collect::<Vec<_>>());
        let largest = |n: &u32| u64::from(n % 7);
        let made = run_largest_first((0..100).collect(), largest, |n: u32| Ok(n * 2)).unwrap();
        assert_eq!(made, (0..100).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(run(Vec::<u32>::new(), Ok).unwrap(), Vec::<u32>::new());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_beside_gives_way_and_its_panic_is_an_error() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The name may hold spaces; niceness is the 17th field after it.
            let after = stat.rsplit_once(") ").unwrap().1.to_owned();
            after.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let own = niceness();
        assert!(beside(niceness).await.unwrap() >= 10);
        assert_eq!(niceness(), own);
        let lost = beside(|| std::panic::panic_any(7)).await;
        assert!(lost.unwrap_err().to_string().contains("panic"));
    }

    #[test]
    fn an_error_or_a_panic_of_one_piece_is_the_answer() {
        let fails = |n: u32| if n == 7 { Err(Error::bug("seven")) } else { Ok(n) };
        assert!(run((0..20).collect(), fails).unwrap_err().to_string().contains("seven"));
        let panics = |n: u32| if n >= 7 { std::panic::panic_any(n) } else { Ok(n) };
        assert!(run((0..20).collect(), panics).unwrap_err().to_string().contains("panic"));
    }
}
