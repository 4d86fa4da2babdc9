//! The reading thread: it polls the source and parses envelopes while the last epoch commits.
//!
//! Bounded: when the loop does not take what was read, the thread waits, and the source's own queue
//! bound holds the brokers back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc as commands;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::shares::{self, Share};
use super::sizes::bytes_of;
use crate::envelope::change::Parsed;
use crate::envelope::options::Options;
use crate::envelope::parse::Parser;
use crate::epoch::item::Item;
use crate::error::{Error, Result};
use crate::source::{Polled, Source, TopicPartition};

/// Batches that wait between the thread and the loop.
const BATCHES_AHEAD: usize = 8;
/// KiB that wait there; a batch that is larger waits alone.
const KIB_AHEAD_MAX: u32 = 32 << 10;
/// How long a poll waits for a record before it looks for commands again.
const POLL_WAIT: Duration = Duration::from_millis(20);

/// What the thread hands over.
#[derive(Debug)]
pub enum Read {
    /// A record, parsed.
    Item(Item),
    /// A partition has no further record now.
    AtEnd(TopicPartition),
    /// A partition is read from this offset on.
    Assigned(TopicPartition, i64),
}

enum Command {
    Pause(Vec<TopicPartition>),
    Resume(Vec<TopicPartition>),
    EndOffsets(oneshot::Sender<Result<BTreeMap<TopicPartition, i64>>>),
}

/// A batch, and the room that it takes until the loop has it.
type Waiting = (Result<Vec<Read>>, Option<OwnedSemaphorePermit>);

/// The loop's end of the thread.
pub struct Reader {
    batches: mpsc::Receiver<Waiting>,
    room: Arc<Semaphore>,
    commands: commands::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts the thread.
    pub fn start(source: Box<dyn Source>, options: Options) -> Result<Self> {
        let (batch_in, batches) = mpsc::channel(BATCHES_AHEAD);
        let (commands, command_out) = commands::channel();
        let room = Arc::new(Semaphore::new(KIB_AHEAD_MAX as usize));
        let out = Out { batches: batch_in, room: room.clone() };
        let thread = std::thread::Builder::new()
            .name("source".to_owned())
            .spawn(move || read(source, &mut Parser::new(options), &out, &command_out))
            .map_err(|e| Error::unavailable("cannot start the reading thread", e))?;
        Ok(Self { batches, room, commands, thread: Some(thread) })
    }

    /// The next batch; `None` once the thread has ended.
    pub async fn next(&mut self) -> Option<Result<Vec<Read>>> {
        self.batches.recv().await.map(|(batch, _)| batch)
    }

    /// Stops reading these partitions for now.
    pub fn pause(&self, partitions: Vec<TopicPartition>) {
        let _ = self.commands.send(Command::Pause(partitions));
    }

    /// Reads these partitions again.
    pub fn resume(&self, partitions: Vec<TopicPartition>) {
        let _ = self.commands.send(Command::Resume(partitions));
    }

    /// End offsets as the brokers say them now.
    pub fn end_offsets(&self) -> oneshot::Receiver<Result<BTreeMap<TopicPartition, i64>>> {
        let (answer, receiver) = oneshot::channel();
        let _ = self.commands.send(Command::EndOffsets(answer));
        receiver
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.room.close();
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the reading thread ended in a panic");
        }
    }
}

/// The thread's end: it waits until there is room.
struct Out {
    batches: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

impl Out {
    /// `false` once nobody takes any more.
    fn send(&self, batch: Result<Vec<Read>>) -> bool {
        let bytes: usize = batch.iter().flatten().map(Read::bytes).sum();
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, KIB_AHEAD_MAX);
        let room = futures::executor::block_on(self.room.clone().acquire_many_owned(kib));
        self.batches.blocking_send((batch, room.ok())).is_ok()
    }
}

impl Read {
    fn bytes(&self) -> usize {
        match self {
            Self::Item(item) => item.bytes,
            Self::AtEnd(_) | Self::Assigned(..) => 0,
        }
    }
}

fn read(
    mut source: Box<dyn Source>,
    parser: &mut Parser,
    out: &Out,
    commands: &commands::Receiver<Command>,
) {
    while !out.batches.is_closed() {
        let polled = shares::time(Share::Poll, || {
            obey(source.as_mut(), commands).and_then(|()| source.poll(POLL_WAIT))
        });
        let batch = match polled {
            Ok(polled) if polled.is_empty() => continue,
            Ok(polled) => Ok(shares::time(Share::Parse, || {
                polled.into_iter().map(|p| hand_over(p, parser)).collect()
            })),
            Err(error) => Err(error),
        };
        let ended = batch.is_err();
        let since = Instant::now();
        if !out.send(batch) || ended {
            return;
        }
        shares::add(Share::HeldBack, since);
    }
}

fn obey(source: &mut dyn Source, commands: &commands::Receiver<Command>) -> Result<()> {
    while let Ok(command) = commands.try_recv() {
        match command {
            Command::Pause(partitions) => source.pause(&partitions)?,
            Command::Resume(partitions) => source.resume(&partitions)?,
            Command::EndOffsets(answer) => {
                let _ = answer.send(source.end_offsets());
            }
        }
    }
    Ok(())
}

fn hand_over(polled: Polled, parser: &mut Parser) -> Read {
    match polled {
        Polled::AtEnd { topic, partition } => Read::AtEnd((topic, partition)),
        Polled::Assigned { topic, partition, offset } => Read::Assigned((topic, partition), offset),
        Polled::Record(record) => {
            let parsed = parser.parse(&record);
            Read::Item(Item {
                topic: Arc::clone(&record.topic),
                partition: record.partition,
                offset: record.offset,
                bytes: bytes_of(&record),
                record: matches!(parsed, Parsed::Malformed(_)).then(|| Box::new(record.detached())),
                parsed,
            })
        }
    }
}
