//! Behaviour of the reference that looks like a mistake and is kept, because programs can see it (vouchers, appendix A).
//! Other quirks are covered by the examples: Q03, Q04 (`commands.rs`), Q05, Q09 (`extraction.rs`), Q25 (`bank.rs`).

use crate::bank::*;
use crate::support::*;
use abi::voucher::*;
use voucher::managers::bank::*;
use voucher::*;

/// Vouchers 3.8, with Q01.
#[test]
fn each_manager_accepts_its_own_commands_and_no_others() {
    let mut world = World::new();
    let v = world.make(&[current_task(), priority(0x10FF), st(DATA, "a"), st(TEST, "b")]);
    let accepted = |key: u32, command: u32| match key {
        BANK => [AUTO_REDEEM, SEND_PREPROCESS, REDEEM, BANK_CREATE, MODIFY_PERSONA].contains(&command),
        PRIORITY => command == PRIORITY_CREATE,
        _ => [REDEEM, STORE].contains(&command),
    };
    for key in [BANK, PRIORITY, DATA, TEST] {
        for command in [0, 4, 5, 6, 9, 10, 11, 200, 211, 601, 610, 611, 701, 710, 999, u32::MAX] {
            let error = world.mk(&[it(key, command, v, 0x10FFu32.to_le_bytes())]).err();
            let expected = if accepted(key, command) { None } else { Some(Error::InvalidArgument) };
            assert_eq!(error, expected, "key {key}, command {command}");
        }
    }
    world.end();
}

#[test]
fn q02_redeeming_all_asks_the_bank_before_it_fails_for_the_priority() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    assert_eq!(world.mk(&[rd(ALL, w)]), INVALID_ARGUMENT, "the bank lets A redeem its own value");
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[rd(ALL, w)]), INVALID_CAPABILITY, "the bank refuses B");
    world.end();
}

#[test]
fn q06_with_an_empty_buffer_user_data_and_bank_succeed_without_a_result() {
    let mut world = World::new();
    let v = world.make(&[current_task(), priority(0x10FF), st(DATA, "a"), st(TEST, "b")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let mut extract = |key: u32, room: usize| {
        let mut buffer = vec![0; room];
        let mut out = OutBuffer::new(&mut buffer);
        extract_attr_content(&mut world, &caller, Some(voucher), key, &mut out).map(|()| out.size())
    };
    for key in [BANK, DATA, TEST] {
        assert_eq!(extract(key, 0), Ok(0), "key {key}");
    }
    assert_eq!((extract(PRIORITY, 0), extract(BANK, 1)), (Err(Error::InvalidValue), Err(Error::NoSpace)));
    world.end();
}

#[test]
fn q17_a_voucher_is_adopted_without_being_redeemed() {
    let mut world = World::new();
    let x = x(&mut world);
    assert_eq!(bank_value(&world, x), "A(A,B,A,A;-)");
    let in_c = world.give(x, C);
    assert_eq!(world.switch(C).mk(&[rd(BANK, in_c)]), INVALID_CAPABILITY, "C may not redeem the account");
    let Adoption { bill, .. } = world.vouchers.bank.adopt(world.bank_id(C), world.handle(in_c, BANK));
    world.vouchers.bank.charge(bill.expect("C may adopt the account"), Usage { cpu: 5, energy: 0 });
    let serviced = [B, C].map(|task| world.vouchers.bank.balance(world.bank_id(task)).serviced.cpu);
    assert_eq!(serviced, [5, 0], "the merchant is B");
    world.end();
}

#[test]
fn q18_the_originators_pid_is_that_of_the_holder() {
    let mut world = World::new();
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    let y = world.give(y, C);
    let z = world.switch(C).make(&[auto_redeem(y)]);
    assert_eq!((bank_value(&world, z), pid(&mut world, z)), ("A(A,C,B,B;-)".to_owned(), 10));
    let token = world.command(z, BANK, BANK_PERSONA_TOKEN, 96).unwrap();
    assert_eq!(token[8..12], 20u32.to_le_bytes(), "the token has the originator");
    world.end();
}

/// The processing of a message begins with a copy of all attributes, which would keep the others. Its failure loses them.
#[test]
fn q23_a_voucher_that_cannot_be_processed_vanishes_from_its_message() {
    let fake = Fake::default();
    fake.0.borrow_mut().processing = Processing { send: true, receive: true };
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8]), st(DATA, "a")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let sent = send_preprocessing(&mut world, &caller, voucher);
    assert!(matches!(sent, ProcessedVoucher::Replaced(None)), "{sent:?}");
    let received = receive_postprocessing(&mut world, &caller, voucher);
    assert!(matches!(received, ProcessedVoucher::Replaced(None)), "{received:?}");
    assert_eq!(
        fake.0.borrow().asked[1..].iter().map(|asked| asked.command).collect::<Vec<_>>(),
        [SEND_PREPROCESS, AUTO_REDEEM]
    );
    assert_eq!((world.vouchers.registry.len(), world.says(v)[1].1.clone()), (1, b"a".to_vec()));
    world.end();
}
