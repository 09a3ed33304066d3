//! Importance donation between tasks (importance 3 to 6).

use super::tasks::child;
use super::tests;
use super::vouchers::take;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::{check, names, policy, task, time};
use abi::PortName;
use abi::message::MsgOption;
use abi::port::Disposition;
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;

tests! { "importance":
    a_daemon_is_boosted_from_the_send_to_the_end_of_the_voucher,
}

/// The base priorities of an adaptive daemon without and with a boost.
const UNBOOSTED: u32 = 4;
const BOOSTED: u32 = 31;

/// The daemon: the child of the test below. It runs in the background until a donor waits for it.
pub(super) fn serve_a_donor() {
    let thread = task::thread_self();
    let base = || task::thread_info(thread).map(|info| info.base_priority);
    let port = port_with_send();
    port::accept_donation(port.name()).expect("the port is the caller's");
    check::equal("before the message", base(), Ok(UNBOOSTED));
    // From here on the donor may send.
    names::register("daemon", port.name()).expect("the name is free");
    let (disposition, voucher) = take(port.name(), MsgOption::RCV_VOUCHER);
    check::equal("a voucher comes with the message", disposition, Disposition::PORT_SEND);
    check::equal("with the voucher", base(), Ok(BOOSTED));
    check::equal("giving it up", port::deallocate(voucher), Ok(()));
    check::equal("without it", base(), Ok(UNBOOSTED));
}

/// Waits until a service is there. Its daemon runs only while this thread sleeps.
fn wait_for(service: &str) -> PortName {
    loop {
        match names::look_up(service) {
            Ok(port) => return port,
            Err(_) => time::sleep(1),
        }
    }
}

fn a_daemon_is_boosted_from_the_send_to_the_end_of_the_voucher() {
    check::equal("becoming a donor", policy::mark_donor(), Ok(()));
    let exit = Port::new();
    let spawn = child("serve-a-donor").policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    let daemon = spawn.exit_port(exit.name()).start().expect("the child starts");
    let to_daemon = wait_for("daemon");
    Message::copy_send(to_daemon).send().expect("the daemon waits or will wait");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    [daemon, to_daemon].into_iter().for_each(|name| port::deallocate(name).expect("the name exists"));
}
