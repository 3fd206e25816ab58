// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IComplianceGuard} from "./IComplianceGuard.sol";
import {IWToken} from "./IWToken.sol";

/// @title The rules that every W token keeps, checked before value moves, with a log of each check.
/// @notice Money multiplier: the supply, what is about to be minted included, never exceeds the verified reserve. GRU
/// isolation: nothing is converted from or to a GRU token. ISO 4217: a token stands for an active currency code and its
/// symbol is that code and a W.
contract ComplianceGuard is IComplianceGuard, AccessControl {
    /// @notice Who may have checks logged: the mint controller, the bridge, auditors.
    bytes32 public constant CHECKER_ROLE = keccak256("CHECKER_ROLE");

    /// @notice Who keeps the lists.
    bytes32 public constant COMPLIANCE_ROLE = keccak256("COMPLIANCE_ROLE");

    /// @notice The currency code of a W token, three ASCII letters; zero for what is none.
    mapping(address token => bytes3) public currencyOf;

    /// @notice Whether a code is an active ISO 4217 currency code.
    mapping(bytes3 code => bool) public isActiveCode;

    /// @notice Whether a token is a GRU token, to be kept apart from W tokens.
    mapping(address token => bool) public isGRU;

    /// @notice Whether an account may take no part.
    mapping(address account => bool) public isBlocked;

    /// @notice A check was made. `reason` is 0 exactly when it passed.
    event ComplianceChecked(
        Operation indexed operation,
        address indexed token,
        Reason indexed reason,
        address account,
        uint256 amount,
        bool passed
    );

    /// @notice The supply, the amount to be minted included, exceeds the verified reserve.
    event MoneyMultiplierViolation(address indexed token, uint256 supply, uint256 reserve);

    /// @notice A GRU token was to be used, or converted from or to.
    event GRUIsolationViolation(address indexed from, address indexed to, address indexed account);

    /// @notice A token that stands for no active currency code, or whose symbol is not that code and a W.
    event ISO4217Violation(address indexed token, bytes3 code);

    /// @notice A token's currency code was set.
    event CurrencySet(address indexed token, bytes3 code);

    /// @notice A currency code became active or inactive.
    event ActiveCodeSet(bytes3 indexed code, bool active);

    /// @notice A token was declared a GRU token, or no longer.
    event GRUSet(address indexed token, bool isGRU);

    /// @notice An account was blocked, or no longer.
    event BlockedSet(address indexed account, bool isBlocked);

    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants and revokes roles.
    constructor(address admin) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @inheritdoc IComplianceGuard
    /// @dev Refused: callers without CHECKER_ROLE (AccessControlUnauthorizedAccount). A token without the functions of
    /// a W token makes it revert.
    function check(Operation operation, address token, address account, uint256 amount)
        external
        onlyRole(CHECKER_ROLE)
        returns (Reason)
    {
        return _log(operation, token, token, account, amount);
    }

    /// @notice Check a conversion of `amount` base units of `from` into `to`, and log the result under `from`.
    /// @dev Refused: callers without CHECKER_ROLE (AccessControlUnauthorizedAccount).
    function checkConversion(address from, address to, address account, uint256 amount)
        external
        onlyRole(CHECKER_ROLE)
        returns (Reason)
    {
        return _log(Operation.Convert, from, to, account, amount);
    }

    /// @notice What `check` would answer, without a log. For a conversion, `to` is the other token; else the same one.
    function evaluate(Operation operation, address token, address to, address account, uint256 amount)
        public
        view
        returns (Reason)
    {
        if (isBlocked[account]) return Reason.AccountBlocked;
        if (isGRU[token] || isGRU[to]) return Reason.GRUIsolation;
        if (!_isIso4217(token) || !_isIso4217(to)) return Reason.ISO4217;
        if (operation != Operation.Mint && operation != Operation.Audit) return Reason.None;
        uint256 supply = IWToken(token).totalSupply();
        try IWToken(token).verifiedReserve() returns (uint256 reserve) {
            return supply > reserve || amount > reserve - supply ? Reason.MoneyMultiplier : Reason.None;
        } catch {
            return Reason.ReserveUnverified;
        }
    }

    /// @notice Say which currency a W token stands for; zero for none.
    /// @dev Refused: callers without COMPLIANCE_ROLE (AccessControlUnauthorizedAccount).
    function setCurrency(address token, bytes3 code) external onlyRole(COMPLIANCE_ROLE) {
        currencyOf[token] = code;
        emit CurrencySet(token, code);
    }

    /// @notice Say whether a code is an active ISO 4217 code.
    /// @dev Refused: callers without COMPLIANCE_ROLE (AccessControlUnauthorizedAccount).
    function setActiveCode(bytes3 code, bool active) external onlyRole(COMPLIANCE_ROLE) {
        isActiveCode[code] = active;
        emit ActiveCodeSet(code, active);
    }

    /// @notice Say whether a token is a GRU token.
    /// @dev Refused: callers without COMPLIANCE_ROLE (AccessControlUnauthorizedAccount).
    function setGRU(address token, bool isGRU_) external onlyRole(COMPLIANCE_ROLE) {
        isGRU[token] = isGRU_;
        emit GRUSet(token, isGRU_);
    }

    /// @notice Block an account, or allow it again.
    /// @dev Refused: callers without COMPLIANCE_ROLE (AccessControlUnauthorizedAccount).
    function setBlocked(address account, bool isBlocked_) external onlyRole(COMPLIANCE_ROLE) {
        isBlocked[account] = isBlocked_;
        emit BlockedSet(account, isBlocked_);
    }

    function _log(Operation operation, address token, address to, address account, uint256 amount)
        private
        returns (Reason reason)
    {
        reason = evaluate(operation, token, to, account, amount);
        emit ComplianceChecked(operation, token, reason, account, amount, reason == Reason.None);
        if (reason == Reason.MoneyMultiplier) {
            uint256 supply = Math.saturatingAdd(IWToken(token).totalSupply(), amount);
            emit MoneyMultiplierViolation(token, supply, IWToken(token).verifiedReserve());
        } else if (reason == Reason.GRUIsolation) {
            emit GRUIsolationViolation(token, to, account);
        } else if (reason == Reason.ISO4217) {
            address wrong = _isIso4217(token) ? to : token;
            emit ISO4217Violation(wrong, currencyOf[wrong]);
        }
    }

    function _isIso4217(address token) private view returns (bool) {
        bytes3 code = currencyOf[token];
        if (!isActiveCode[code]) return false;
        return keccak256(bytes(IWToken(token).symbol())) == keccak256(abi.encodePacked(code, "W"));
    }
}
