//! As many objects as a task may have: the steps in which the kernel's tables grow.

use super::{Row, measured};
use crate::message::{Message, port_with_send};
use crate::port;
use crate::voucher::{self, Recipe};
use abi::debug::LongestStep;
use abi::port::*;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_USER_DATA;
use zerocopy::IntoBytes;

pub(super) const ROWS: &[Row] = &[
    ("ports, as many as a task may have", ports),
    ("messages, as many as a task may have", messages),
    ("vouchers, as many as a task may have", vouchers),
];

/// Ports whose queues hold the messages of a task.
const QUEUES: usize = 400;

fn ports() -> LongestStep {
    measured(|| while port::allocate(MACH_PORT_RIGHT_RECEIVE).is_ok() {})
}

fn messages() -> LongestStep {
    let queues = [0; QUEUES].map(|_| port_with_send().into_name());
    for port in queues {
        port::set_queue_limit(port, MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    measured(|| {
        for port in queues {
            while Message::copy_send(port).send_within(0).is_ok() {}
        }
    })
}

/// Each voucher has a value that no other has.
fn vouchers() -> LongestStep {
    let host = voucher::host();
    measured(|| {
        for number in 0u64.. {
            let value = Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, number.to_le_bytes());
            // A voucher for which there is no room for a name is given up, without an error (quirk Q26).
            if !voucher::create(host, value.as_bytes()).is_ok_and(|name| name != MACH_PORT_NULL) {
                return;
            }
        }
    })
}
