//! Limits of a task: beyond them a call returns an error, and after something is freed it succeeds again.

use super::tests;
use crate::check;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::Thread;
use abi::PortName;
use abi::code::*;
use abi::port::*;
use abi::task::PAGE_SIZE;

tests! { "limits":
    a_full_name_table_has_room_again_when_a_name_is_freed,
    used_up_memory_can_be_allocated_again_when_it_is_freed,
    used_up_regions_can_be_allocated_again_when_they_are_freed,
    queued_messages_are_charged_to_their_sender,
    threads_of_a_task_are_limited,
    sets_of_one_port_are_limited,
}

/// The table is filled with dead names, because they take no other resource.
fn a_full_name_table_has_room_again_when_a_name_is_freed() {
    let mut last = PortName(0);
    let mut count = 0u32;
    let error = loop {
        match port::allocate(MACH_PORT_RIGHT_DEAD_NAME) {
            Ok(name) => last = name,
            Err(code) => break code,
        }
        count += 1;
        check::that("there is a limit", count <= 1 << 17);
    };
    check::that("the error is one of a limit", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    check::that("the table has room for a thousand names", count > 1000);
    port::mod_refs(last, MACH_PORT_RIGHT_DEAD_NAME, -1).expect("the last name exists");
    let again = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room again");
    check::equal("the index", again.index(), last.index());
}

fn used_up_memory_can_be_allocated_again_when_it_is_freed() {
    const SIZE: u64 = 1 << 20;
    let mut blocks = heapless::Vec::<u64, 512>::new();
    let error = loop {
        match task::allocate(SIZE) {
            Ok(at) => blocks.push(at).expect("the limit is lower"),
            Err(code) => break code,
        }
    };
    check::that("the error is one of a limit", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    check::that("there is room for some blocks", blocks.len() > 4);
    for &at in &blocks {
        task::deallocate(at, SIZE).expect("the memory is allocated");
    }
    let at = task::allocate(SIZE).expect("there is room again");
    task::deallocate(at, SIZE).expect("the memory is allocated");
}

fn used_up_regions_can_be_allocated_again_when_they_are_freed() {
    const BASE: u64 = 0x5000_0000_0000;
    let at = |number: u64| BASE + number * 3 * PAGE_SIZE;
    let mut count = 0u64;
    let error = loop {
        match task::allocate_at(at(count), PAGE_SIZE, 0) {
            Ok(_) => count += 1,
            Err(code) => break code,
        }
        check::that("there is a limit", count < 5000);
    };
    check::that("the error is one of a limit", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    task::deallocate(BASE, at(count) - BASE).expect("all regions are allocated");
    task::allocate_at(BASE, PAGE_SIZE, 0).expect("there is room again");
    task::deallocate(BASE, PAGE_SIZE).expect("the memory is allocated");
}

fn queued_messages_are_charged_to_their_sender() {
    let ports = [0; 16].map(|_| port_with_send());
    for port in &ports {
        port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    let mut sent = 0;
    let error = 'full: loop {
        for port in &ports {
            match Message::copy_send(port.name()).words(&[0; 200]).send_within(0) {
                Ok(()) => sent += 1,
                Err(code) => break 'full code,
            }
        }
    };
    check::that("the error is one of a limit", [MACH_SEND_NO_BUFFER, MACH_SEND_TIMED_OUT].contains(&error));
    check::that("there is room for a hundred messages", sent > 100);
    for port in &ports {
        while Message::receive_within(port.name(), 0).is_ok() {
            sent -= 1;
        }
    }
    check::equal("messages that did not arrive", sent, 0);
    Message::copy_send(ports[0].name()).send_within(0).expect("there is room again");
}

fn threads_of_a_task_are_limited() {
    let mut threads = heapless::Vec::<Thread, 1024>::new();
    let error = loop {
        match Thread::suspended(|_| {}, 0) {
            Ok(thread) => threads.push(thread).expect("the limit is lower"),
            Err(code) => break code,
        }
    };
    check::equal("the code", error, KERN_RESOURCE_SHORTAGE);
    check::that("there is room for fifty threads", threads.len() > 50);
    for thread in &threads {
        thread.resume().expect("the thread is suspended");
    }
    threads.into_iter().for_each(Thread::join);
    Thread::start(|_| {}, 0).expect("there is room again").join();
}

fn sets_of_one_port_are_limited() {
    let port = Port::new();
    let mut sets = heapless::Vec::<PortName, 128>::new();
    let error = loop {
        let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
        sets.push(set).expect("the limit is lower");
        if let Err(code) = port::insert_member(port.name(), set) {
            break code;
        }
    };
    check::equal("the code", error, KERN_RESOURCE_SHORTAGE);
    check::equal("sets, with the one that the port did not join", sets.len(), 65);
}
