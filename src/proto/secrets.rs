//! Messages with secrets in them, printed without: whatever ends in a log or in an error, passwords and
//! tokens do not.

use std::fmt;

use super::authpb::User;
use super::enrol::{Credential, Token};
use super::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthenticateRequest, AuthenticateResponse,
};
use super::internal::Authenticate;

/// Prints of a message the fields that may be read.
macro_rules! shown {
    ($($message:ident: $($field:ident),+;)+) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = out.debug_struct(stringify!($message));
                $(out.field(stringify!($field), &self.$field);)+
                out.finish_non_exhaustive()
            }
        }
    )+};
}

shown! {
    User: name, roles, options;
    AuthenticateRequest: name;
    AuthenticateResponse: header;
    Authenticate: name;
    AuthUserAddRequest: name, options;
    AuthUserChangePasswordRequest: name;
    Token: issuers, id, role, name;
    Credential: id;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::enrol::EnrolRequest;

    #[test]
    fn what_is_printed_of_a_message_holds_no_secret() {
        let (name, word) = ("alice".to_owned(), "hunter2".to_owned());
        let hashed_password = word.clone();
        let secret = bytes::Bytes::from_static(b"hunter2");
        let credential = Credential { id: "alice".to_owned(), secret: secret.clone() };
        let printed = [
            format!(
                "{:?}",
                User { name: name.clone().into(), password: secret.clone(), ..User::default() }
            ),
            format!("{:?}", AuthenticateRequest { name: name.clone(), password: word.clone() }),
            format!(
                "{:?}",
                AuthUserAddRequest {
                    name: name.clone(),
                    password: word.clone(),
                    hashed_password: hashed_password.clone(),
                    options: None
                }
            ),
            format!(
                "{:?}",
                AuthUserChangePasswordRequest {
                    name: name.clone(),
                    password: word,
                    hashed_password
                }
            ),
            format!("{:?}", Authenticate { name: name.clone(), token: "hunter2".to_owned() }),
            format!("{:?}", Token { name, secret, ..Token::default() }),
            format!(
                "{:?}",
                EnrolRequest { credential: Some(credential), ..EnrolRequest::default() }
            ),
        ];
        for text in printed {
            assert!(text.contains("alice") && !text.contains("hunter2"), "{text}");
        }
    }
}
