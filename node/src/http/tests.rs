//! The description of the interface, held against the router.

use super::*;

#[test]
fn the_interface_describes_itself_as_openapi_3_1() {
    let api = serde_json::to_value(openapi()).expect("plain data");
    assert!(
        api["openapi"]
            .as_str()
            .is_some_and(|v| v.starts_with("3.1"))
    );
    let login = &api["paths"]["/v1/auth/login"]["post"];
    assert!(login["requestBody"]["content"]["application/json"]["schema"].is_object());
    assert!(api["components"]["schemas"]["Refusal"].is_object());
}
