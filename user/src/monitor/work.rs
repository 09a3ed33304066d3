//! What in a task holds its vouchers, as its library for queues tells it: a port for debuggers is asked.
//!
//! A task can tell anything, or nothing. What it tells is checked for its form alone, is asked for with a limit of time,
//! and is shown as what the task says.

use super::snapshot::{Snapshot, name_of};
use super::table::{Cell, Table};
use super::words::{class, object, thread};
use crate::message::{Call, Message};
use crate::port::{self, Port};
use crate::{task, time};
use abi::PortName;
use abi::code::KERN_SUCCESS;
use abi::debugger::*;
use abi::inspect::{ObjectNumber, TASK_ENDED, VoucherRecord};
use abi::message::MsgOption;
use abi::mig::{NDR, REPLY_ID_OFFSET};
use abi::port::Disposition;
use abi::qos::{Priority, Qos};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// How long a task may take for all of its answers, in milliseconds.
const PATIENCE: u64 = 500;
/// The most replies that are asked for.
const PAGES_MAX: usize = 64;
/// The most lines about what holds a voucher.
const LINES_MAX: usize = 16;

/// What a task has told.
#[derive(Debug, Default)]
pub struct Work {
    /// Its queues but the global ones.
    pub queues: Vec<QueueRecord>,
    /// What holds vouchers.
    pub holders: Vec<HolderRecord>,
}

/// What became of the questions to a task.
#[derive(Debug)]
pub enum Answer {
    /// It has told this.
    Told(Work),
    /// It has not answered in time, or in another form.
    Silent,
}

/// A conversation with a task.
struct Asked {
    port: PortName,
    reply: Port,
    /// When its time is over.
    deadline: u64,
    pages: usize,
}

/// Asks a task. `None` if it has no port for debuggers: it has no channels.
pub fn ask(pid: u32) -> Option<Answer> {
    let control = task::for_pid(pid).ok()?;
    let right = task::debug_port(control);
    port::destroy_right(control, Disposition::PORT_SEND);
    let port = right.ok().filter(|name| name.is_valid())?;
    let deadline = time::now() + PATIENCE * time::MILLISECOND;
    let mut asked = Asked { port, reply: Port::new(), deadline, pages: 0 };
    let answer = asked.all(QUEUES, QUEUES_MAX).and_then(|queues| {
        let holders = asked.all(HOLDERS, HOLDERS_MAX)?;
        Some(Work { queues, holders })
    });
    port::destroy_right(port, Disposition::PORT_SEND);
    Some(answer.map_or(Answer::Silent, Answer::Told))
}

/// Asks all tasks that may have something to tell, and returns their answers by pid.
pub fn ask_all(snapshot: &Snapshot) -> Vec<(u32, Answer)> {
    let own = task::pid() as u32;
    let others = snapshot.tasks.iter().filter(|task| task.pid != own && task.flags & TASK_ENDED == 0);
    others.filter_map(|task| Some((task.pid, ask(task.pid)?))).collect()
}

impl Asked {
    /// Returns all records of a listing, or as many as fit the limit of pages.
    fn all<R: FromBytes + Immutable>(&mut self, id: i32, most: usize) -> Option<Vec<R>> {
        let (mut records, mut cursor) = (Vec::new(), Cursor::START);
        while cursor != Cursor::END && self.pages < PAGES_MAX {
            self.pages += 1;
            let reply = self.exchange(id, cursor)?;
            let page = page_of(&reply, id, most);
            // It may have brought rights, which nobody wants.
            reply.destroy();
            let (more, next) = page?;
            records.extend(more);
            cursor = next;
        }
        Some(records)
    }

    /// Sends a request, and waits for its reply as long as there is time.
    fn exchange(&self, id: i32, cursor: Cursor) -> Option<Message> {
        let left = self.deadline.checked_sub(time::now())? / time::MILLISECOND;
        // Asking boosts nobody.
        let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT | MsgOption::SEND_NOIMPORTANCE;
        let request = Message::copy_send(self.port).id(id).reply_to(self.reply.name(), Disposition::MAKE_SEND_ONCE);
        let mut request = request.bytes(&NDR).bytes(cursor.as_bytes());
        let sent = request.call(&Call { options, timeout: left as u32, ..Call::default() });
        if sent != KERN_SUCCESS {
            request.destroy();
            return None;
        }
        let left = self.deadline.saturating_sub(time::now()) / time::MILLISECOND;
        Message::receive_within(self.reply.name(), left as u32).ok()
    }
}

/// Returns the records in a reply, and where the listing goes on. `None` if it has another form.
fn page_of<R: FromBytes + Immutable>(reply: &Message, id: i32, most: usize) -> Option<(Vec<R>, Cursor)> {
    let view = reply.view()?;
    let is_reply = view.header().msgh_id == id + REPLY_ID_OFFSET && !view.is_complex();
    is_reply.then(|| records_in(view.body(), most))?
}

/// Returns the records in the body of a reply.
fn records_in<R: FromBytes + Immutable>(body: &[u8], most: usize) -> Option<(Vec<R>, Cursor)> {
    let rest = body.strip_prefix(&NDR)?.strip_prefix(&KERN_SUCCESS.0.to_le_bytes())?;
    let (page, rest) = Page::read_from_prefix(rest).ok()?;
    let is_whole = page.count <= most as u64 && rest.len() == page.count as usize * size_of::<R>();
    let records = rest.chunks_exact(size_of::<R>()).filter_map(|bytes| R::read_from_bytes(bytes).ok());
    is_whole.then(|| (records.collect(), page.next))
}

impl Work {
    /// Returns how people call a queue: its number and its label.
    pub fn queue(&self, number: u64) -> String {
        if (1..=GLOBAL_QUEUES).contains(&number) {
            let place = number as usize - 1;
            let over = if place % 2 == 1 { " (overcommit)" } else { "" };
            let priority = Priority::of(Qos::CLASSES[place / 2]).to_pthread();
            return format!("the global queue {}{over}", class(priority));
        }
        match self.queues.iter().find(|queue| queue.queue == number) {
            Some(queue) => format!("q{number} {}", label(queue)),
            None => format!("q{number}"),
        }
    }

    fn is_channel(&self, number: u64) -> bool {
        self.queues.iter().any(|queue| queue.queue == number && queue.flags & QUEUE_CHANNEL != 0)
    }

    /// Says what a holder is.
    pub fn words(&self, holder: &HolderRecord) -> String {
        let queue = self.queue(holder.queue);
        let (of_queue, channel) = match self.is_channel(holder.queue) {
            true => (format!("an event of channel {queue}"), format!("channel {queue}")),
            false if holder.work != 0 => (format!("work w{} of {queue}", holder.work), queue.clone()),
            false => (format!("work of {queue}"), queue.clone()),
        };
        match holder.kind {
            holder::RUNNING => format!("{of_queue}, running on {}", thread(holder.thread)),
            holder::LEFT => format!("worker {}, until it adopts another voucher or idles", thread(holder.thread)),
            holder::THREAD => format!("thread {}, which has adopted it", thread(holder.thread)),
            holder::QUEUED => format!("{of_queue}, which waits for its turn"),
            holder::TIMER => format!("{of_queue}, which waits for its time"),
            holder::REPLY => format!("a reply that {channel} waits for"),
            holder::SENDING => format!("a message that {channel} has not sent yet"),
            holder::BLOCK => "a block object that was given it".to_string(),
            holder::GROUP => format!("{of_queue}, which waits for a group"),
            other => format!("something of kind {other}"),
        }
    }
}

/// Returns the label of a queue, as a text that a terminal can show.
fn label(queue: &QueueRecord) -> String {
    let end = queue.label.iter().position(|&byte| byte == 0).unwrap_or(LABEL_SIZE);
    format!("{:?}", String::from_utf8_lossy(&queue.label[..end]))
}

/// Returns a line for each thing of all tasks that holds a voucher, as they say themselves.
pub fn holders(snapshot: &Snapshot, voucher: &VoucherRecord) -> Vec<String> {
    let mut lines = Vec::new();
    for (pid, answer) in &snapshot.work {
        let who = snapshot.brief(*pid);
        let Answer::Told(work) = answer else {
            let has_name = snapshot.names.iter().any(|(owner, name)| owner == pid && is_port(voucher, name.object));
            lines.extend(has_name.then(|| format!("{who} does not say what in it holds the voucher")));
            continue;
        };
        let held = work
            .holders
            .iter()
            .filter(|holder| snapshot.object_named(*pid, holder.voucher).is_some_and(|port| is_port(voucher, port)));
        lines.extend(held.map(|holder| format!("in {who}: {}", work.words(holder))));
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

fn is_port(voucher: &VoucherRecord, port: ObjectNumber) -> bool {
    voucher.port != 0 && voucher.port == port
}

/// Returns the queues of all tasks that have told, and below each what of it holds a voucher.
pub fn listing(snapshot: &Snapshot) -> Table {
    let columns = &["task", "queue", "what", "thread", "class", "voucher", "activity"];
    let mut table = Table::new(columns, "no task with channels has queues");
    for (pid, answer) in &snapshot.work {
        let who = snapshot.task(*pid).map_or("?", name_of);
        let Answer::Told(work) = answer else {
            table.row([
                who.into(),
                Cell::None,
                "does not answer".into(),
                Cell::None,
                Cell::None,
                Cell::None,
                Cell::None,
            ]);
            continue;
        };
        for queue in &work.queues {
            let max = Priority::of(Qos::from_number(queue.max_class)).to_pthread();
            table.row([
                who.into(),
                work.queue(queue.queue).into(),
                state(queue).into(),
                (queue.thread != 0).then(|| thread(queue.thread)).into(),
                (queue.max_class != 0).then(|| class(max)).into(),
                Cell::None,
                Cell::None,
            ]);
            let of_queue = work.holders.iter().filter(|holder| holder.queue == queue.queue);
            of_queue.for_each(|holder| table.row(row(snapshot, *pid, work, holder)));
        }
        let is_listed = |number| work.queues.iter().any(|queue| queue.queue == number);
        let others = work.holders.iter().filter(|holder| !is_listed(holder.queue));
        others.for_each(|holder| table.row(row(snapshot, *pid, work, holder)));
    }
    table
}

/// Says what a queue does.
fn state(queue: &QueueRecord) -> String {
    let does = match queue.flags {
        flags if flags & QUEUE_SUSPENDED != 0 => "suspended",
        flags if flags & QUEUE_RUNNING != 0 => "runs",
        flags if flags & QUEUE_ENQUEUED != 0 => "waits for a worker",
        _ => "idle",
    };
    match queue.waiting {
        0 => does.to_string(),
        1 => format!("{does}, 1 item waits"),
        more => format!("{does}, {more} items wait"),
    }
}

fn row(snapshot: &Snapshot, pid: u32, work: &Work, holder: &HolderRecord) -> [Cell; 7] {
    let what = match holder.kind {
        holder::RUNNING => "runs",
        holder::LEFT => "idles soon",
        holder::THREAD => "adopted",
        holder::QUEUED => "waits",
        holder::TIMER => "waits for its time",
        holder::REPLY => "awaits a reply",
        holder::SENDING => "to be sent",
        holder::BLOCK => "block",
        holder::GROUP => "waits for a group",
        _ => "?",
    };
    let number = if holder.work == 0 { String::new() } else { format!("w{} ", holder.work) };
    let port = snapshot.object_named(pid, holder.voucher);
    let voucher = snapshot.vouchers.iter().find(|voucher| port.is_some_and(|port| is_port(voucher, port)));
    // A thread's class is known better by the kernel.
    let priority = snapshot.thread(holder.thread).map_or(holder.priority, |thread| thread.requested);
    [
        snapshot.task(pid).map_or("?", name_of).into(),
        (holder.queue != 0).then(|| work.queue(holder.queue)).into(),
        format!("  {number}{what}").into(),
        (holder.thread != 0).then(|| thread(holder.thread)).into(),
        (priority != 0).then(|| class(priority)).into(),
        voucher.map(|voucher| object('v', voucher.voucher)).into(),
        (holder.activity != 0).then(|| format!("{:#x}", holder.activity)).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(count: u64, next: Cursor, records: &[HolderRecord]) -> Vec<u8> {
        [&NDR[..], &[0; 4], Page { next, count }.as_bytes(), records.as_bytes()].concat()
    }

    #[test]
    fn replies_of_another_form_are_refused() {
        let next = Cursor { section: 1, object: 2, index: 3 };
        let records = [HolderRecord { queue: 13, ..HolderRecord::default() }; 2];
        let good = body(2, next, &records);
        assert_eq!(records_in(&good, 2), Some((records.to_vec(), next)));
        let read = |bytes: &[u8], most| records_in::<HolderRecord>(bytes, most);
        assert_eq!(read(&good, 1), None, "more than asked for");
        for size in 0..good.len() {
            assert_eq!(read(&good[..size], 2), None, "{size} bytes");
        }
        for count in [0, 1, 3, u64::MAX, 1 << 60] {
            assert_eq!(read(&body(count, next, &records), 17), None, "{count} records");
        }
        let mut refused = good.clone();
        refused[NDR.len()] = 1;
        assert_eq!(read(&refused, 2), None, "a code");
        assert_eq!(read(&[&good[..], &[0]].concat(), 2), None, "more bytes");
    }

    #[test]
    fn labels_cannot_control_the_terminal() {
        let mut queue = QueueRecord { queue: 13, ..QueueRecord::default() };
        queue.label[..6].copy_from_slice(b"a\x1b[2J\xff");
        assert_eq!(label(&queue), "\"a\\u{1b}[2J\u{fffd}\"");
        queue.label = [b'x'; LABEL_SIZE];
        assert_eq!(label(&queue).len(), LABEL_SIZE + 2);
    }

    #[test]
    fn each_kind_of_holder_has_its_words() {
        let mut queues = [13, 14].map(|queue| QueueRecord { queue, ..QueueRecord::default() });
        queues[0].label[..6].copy_from_slice(b"decode");
        queues[1].label[..5].copy_from_slice(b"codec");
        queues[1].flags = QUEUE_CHANNEL;
        let work = Work { queues: queues.to_vec(), holders: Vec::new() };
        let words = |kind, queue, number| {
            work.words(&HolderRecord { kind, queue, work: number, thread: 9, ..HolderRecord::default() })
        };
        for (kind, queue, number, expected) in [
            (holder::RUNNING, 13, 7, "work w7 of q13 \"decode\", running on t9"),
            (holder::RUNNING, 13, 0, "work of q13 \"decode\", running on t9"),
            (holder::RUNNING, 14, 7, "an event of channel q14 \"codec\", running on t9"),
            (holder::QUEUED, 10, 0, "work of the global queue IN (overcommit), which waits for its turn"),
            (holder::LEFT, 0, 0, "worker t9, until it adopts another voucher or idles"),
            (holder::THREAD, 0, 0, "thread t9, which has adopted it"),
            (holder::TIMER, 13, 8, "work w8 of q13 \"decode\", which waits for its time"),
            (holder::REPLY, 14, 0, "a reply that channel q14 \"codec\" waits for"),
            (holder::SENDING, 14, 0, "a message that channel q14 \"codec\" has not sent yet"),
            (holder::BLOCK, 0, 0, "a block object that was given it"),
            (holder::GROUP, 99, 0, "work of q99, which waits for a group"),
            (77, 0, 0, "something of kind 77"),
        ] {
            assert_eq!(words(kind, queue, number), expected);
        }
    }
}
