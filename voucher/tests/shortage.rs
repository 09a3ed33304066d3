//! No memory: every allocation of a creation fails once, and each time everything is as it was before.

use abi::voucher::*;
use store::failpoints;
use voucher::managers::bank::{Settings, TaskIdentity};
use voucher::*;

#[test]
fn a_creation_that_runs_out_of_memory_anywhere_leaves_nothing_behind() {
    let content = [7; 100];
    let mut failures = 0;
    loop {
        let mut vouchers = Vouchers::new(1, Settings::default()).unwrap();
        let task = |vouchers: &mut Vouchers| vouchers.bank.begin_task(TaskIdentity::default()).unwrap();
        let (sender, receiver) = (task(&mut vouchers), task(&mut vouchers));
        let sender = Caller { task: 1, bank: Some(sender) };
        let receiver = Caller { task: 2, bank: Some(receiver) };
        let sent = [Recipe::new(3, MACH_VOUCHER_ATTR_BANK_CREATE, &[])];
        let sent = create(&mut vouchers, &sender, &mut Recipes::new(&sent)).done().unwrap().unwrap();
        let Processed::Replaced(Some(sent)) = send_preprocessing(&mut vouchers, &sender, sent) else {
            panic!("the bank takes part");
        };
        let before = format!("{:?}", (vouchers.registry.len(), vouchers.bank.len()));

        let recipes = [
            Recipe::from(sent, MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY),
            Recipe::new(7, MACH_VOUCHER_ATTR_USER_DATA_STORE, &content),
            Recipe::from(sent, 3, MACH_VOUCHER_ATTR_AUTO_REDEEM),
            Recipe::new(4, MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE, &[0xFF, 0x10, 0, 0]),
            Recipe::new(8, MACH_VOUCHER_ATTR_USER_DATA_STORE, b"short"),
        ];
        failpoints::arm(Some(failures));
        let result = create(&mut vouchers, &receiver, &mut Recipes::new(&recipes)).done();
        let checks = failpoints::disarm();
        vouchers.registry.check(true);
        if let Ok(voucher) = result {
            assert!(voucher.is_some() && failures >= checks);
            break;
        }
        assert_eq!(result, Err(Error::ResourceShortage));
        assert_eq!(format!("{:?}", (vouchers.registry.len(), vouchers.bank.len())), before);
        assert!(vouchers.user_data.is_empty() && vouchers.test.is_empty());
        failures += 1;
    }
    assert!(failures > 10, "there were only {failures} places to fail");
}
