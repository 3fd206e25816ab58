// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IComplianceGuard} from "./IComplianceGuard.sol";
import {IWToken} from "./IWToken.sol";

/// @title The one door through which W tokens are minted and redeemed.
/// @notice Minting is halted by revoking a minter's MINTER_ROLE here, or for all by `pause`; redemption goes on then.
/// @dev The controller holds each token's MINTER_ROLE. What the compliance guard refuses does not revert, so that the
/// guard's log of it stays: the functions answer false and log the refusal.
contract MintController is AccessControl, Pausable, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Who may mint.
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @notice Who may pause minting. Only the admin ends the pause.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice Checks every mint and redemption. Fixed at deployment.
    IComplianceGuard public guard;

    /// @notice Tokens were minted.
    event Minted(address indexed token, address indexed to, address indexed minter, uint256 amount);

    /// @notice Tokens were taken from an account and burned; `paymentReference` names the payment in fiat money.
    event Redeemed(address indexed token, address indexed account, bytes32 indexed paymentReference, uint256 amount);

    /// @notice The compliance guard refused; nothing was minted or burned.
    event Refused(
        IComplianceGuard.Operation indexed operation,
        address indexed token,
        IComplianceGuard.Reason indexed reason,
        address account,
        uint256 amount
    );

    /// @notice An amount of nothing.
    error ZeroAmount();

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants and revokes roles, ends a pause.
    /// @param guard_ The compliance guard, which grants this contract CHECKER_ROLE.
    constructor(address admin, IComplianceGuard guard_) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        guard = guard_;
    }

    /// @notice Mint `amount` base units of `token` to `to`.
    /// @dev Refused by reverting: callers without MINTER_ROLE (AccessControlUnauthorizedAccount), a pause
    /// (EnforcedPause), ZeroAmount.
    /// @return minted False if the compliance guard refused, see the event Refused.
    function mint(IWToken token, address to, uint256 amount)
        external
        nonReentrant
        whenNotPaused
        onlyRole(MINTER_ROLE)
        returns (bool minted)
    {
        if (!_passes(IComplianceGuard.Operation.Mint, token, to, amount)) return false;
        emit Minted(address(token), to, msg.sender, amount);
        token.mint(to, amount);
        return true;
    }

    /// @notice Burn `amount` base units of the caller's, who approved the controller for them and is paid in fiat
    /// money.
    /// @dev Refused by reverting: ZeroAmount, and what the token refuses.
    /// @return redeemed False if the compliance guard refused, see the event Refused.
    function redeem(IWToken token, uint256 amount, bytes32 paymentReference)
        external
        nonReentrant
        returns (bool redeemed)
    {
        if (!_passes(IComplianceGuard.Operation.Redeem, token, msg.sender, amount)) return false;
        emit Redeemed(address(token), msg.sender, paymentReference, amount);
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        token.burn(amount);
        return true;
    }

    /// @notice Halt minting for all minters.
    /// @dev Refused: callers without PAUSER_ROLE (AccessControlUnauthorizedAccount), a second pause (EnforcedPause).
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Resume minting.
    /// @dev Refused: callers without DEFAULT_ADMIN_ROLE (AccessControlUnauthorizedAccount), no pause (ExpectedPause).
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    function _passes(IComplianceGuard.Operation operation, IWToken token, address account, uint256 amount)
        private
        returns (bool)
    {
        if (amount == 0) revert ZeroAmount();
        IComplianceGuard.Reason reason = guard.check(operation, address(token), account, amount);
        if (reason == IComplianceGuard.Reason.None) return true;
        emit Refused(operation, address(token), reason, account, amount);
        return false;
    }
}
