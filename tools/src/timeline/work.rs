//! The work of queues: what programs tell of themselves by the trap `trace_note`.
//!
//! Programs can tell anything. So the numbers are those of one task, an end without a beginning is ignored, and a
//! beginning without a submission is work that was never seen waiting.

use super::builder::Builder;
use super::model::{Queue, Time, Work};
use abi::event::{EventRecord, note};
use abi::qos::Priority;

impl Builder {
    pub(super) fn note(&mut self, event: &EventRecord) {
        let [code, object, queue, priority, voucher] = event.arguments;
        let pid = self.timeline.threads.get(&event.thread).map_or(0, |thread| thread.pid);
        match code {
            note::QUEUE_NAMED => self.queue_named(pid, object, [queue, priority]),
            note::WORK_SUBMITTED => {
                let work = self.new_work(pid, object, queue, event);
                let voucher = self.open_vouchers.get(&voucher).copied();
                self.timeline.work.push(Work { voucher, class: class(priority), ..work });
            }
            note::WORK_BEGUN => {
                let voucher = self.open_vouchers.get(&voucher).copied();
                let place = self.open_work(pid, object).unwrap_or_else(|| {
                    let work = self.new_work(pid, object, queue, event);
                    self.timeline.work.push(work);
                    self.timeline.work.len() - 1
                });
                let work = &mut self.timeline.work[place];
                (work.worker, work.begun) = (Some(event.thread), Some(event.time));
                (work.voucher, work.class) = (voucher.or(work.voucher), class(priority));
            }
            note::WORK_DONE => self.end_work(pid, object, event.time, false),
            note::WORK_DROPPED => self.end_work(pid, object, event.time, true),
            _ => {}
        }
    }

    fn queue_named(&mut self, pid: u32, number: u64, label: [u64; 2]) {
        let bytes: Vec<u8> = label.iter().flat_map(|word| word.to_le_bytes()).filter(|&byte| byte != 0).collect();
        let label = String::from_utf8_lossy(&bytes).into_owned();
        self.timeline.queues.retain(|queue| (queue.pid, queue.number) != (pid, number));
        self.timeline.queues.push(Queue { pid, number, label });
    }

    fn new_work(&self, pid: u32, number: u64, queue: u64, event: &EventRecord) -> Work {
        Work {
            pid,
            number,
            queue,
            submitter: event.thread,
            submitted: event.time,
            worker: None,
            begun: None,
            ended: None,
            dropped: false,
            class: "",
            voucher: None,
        }
    }

    /// Returns the place of a piece of work that has not ended.
    fn open_work(&self, pid: u32, number: u64) -> Option<usize> {
        let same = |work: &Work| (work.pid, work.number) == (pid, number) && work.ended.is_none();
        self.timeline.work.iter().rposition(same)
    }

    fn end_work(&mut self, pid: u32, number: u64, time: Time, dropped: bool) {
        if let Some(place) = self.open_work(pid, number) {
            let work = &mut self.timeline.work[place];
            (work.ended, work.dropped) = (Some(time), dropped);
        }
    }
}

/// Returns the class in a `pthread_priority_t`, for people.
fn class(priority: u64) -> &'static str {
    let names = ["", "maintenance", "background", "utility", "default", "user-initiated", "user-interactive"];
    names[Priority::from_pthread(priority as u32).qos as usize]
}
