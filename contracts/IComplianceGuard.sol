// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title What the contracts that move value ask of the compliance guard.
interface IComplianceGuard {
    /// @notice What is about to be done. An audit looks at a token as it stands.
    enum Operation {
        Audit,
        Mint,
        Redeem,
        Bridge,
        Convert
    }

    /// @notice Why a check failed; None when it passed.
    enum Reason {
        None,
        MoneyMultiplier,
        GRUIsolation,
        ISO4217,
        ReserveUnverified,
        AccountBlocked
    }

    /// @notice Check an operation with one token and log the result. It does not revert when the check fails: the log
    /// would be lost with it. The caller must not go on then.
    function check(Operation operation, address token, address account, uint256 amount) external returns (Reason);
}
