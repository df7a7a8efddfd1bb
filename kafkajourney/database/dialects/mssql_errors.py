"""What SQL Server's error numbers mean for us, as ODBC passes them on. Pure."""

import re

from kafkajourney.errors import KafkaJourneyError, RefusedError, StopError, TransientError

# What SQL Server's error numbers mean for us; its SQLSTATEs say too little, most are 42000. The texts are in
# https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
# To try again is what Microsoft's own clients do, and Azure's documentation asks for, after
# https://learn.microsoft.com/dotnet/api/microsoft.data.sqlclient.sqlconfigurableretryfactory.baselinetransienterrors
# https://github.com/dotnet/efcore/blob/main/src/EFCore.SqlServer/Storage/Internal/SqlServerTransientExceptionDetector.cs
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues
# Of these, what connecting, reading and writing can meet: nothing of replication, full text, FILESTREAM, DDL. Not
# 20, 64, 121, 233 and 997 either, a client's numbers for a network that fails: ODBC has SQLSTATE 08 for that, and the
# server has the same numbers for other things (121: a statement that is wrong).
NUMBERS: dict[type[KafkaJourneyError], tuple[int, ...]] = {
    TransientError: (
        *(1203, 1204, 1205, 1221, 1222),  # locks: deadlock victim (1205), lock timeout (1222)
        *(3947, 3948, 3953, 3957, 3958, 3960, 3966, 41301, 41302, 41305, 41325, 41839),  # row versions: conflict, gone
        *(617, 669, 2816, 3980, 10922),  # "rerun the statement"
        *(701, 802, 845, 8628, 8645, 8651, 17189, 17300, 17803),  # memory, latches, threads
        *(1101, 1105, 9002, 9020, 40544),  # a disk, the log or the quota is full
        *(596, 6005, 17142, 17187, 17188, 17191, 17197),  # the session is killed; the server stops, starts, is paused
        *(17809, 17889, 18401, 18451, 18461),  # it takes nobody more, or administrators only, for now
        *(615, 904, 913, 921, 922, 924, 926, 927, 941, 942, 945, 952, 4060),  # database starts, is away or absent
        *(954, 955, 956, 976, 978, 979, 982, 983, 988, 3906, 4221),  # failover: not the primary (now), so read-only
        *(10053, 10054, 10060, 10061, 11001),  # the network: aborted, reset, timed out, refused, no such host
        *(10928, 10929, 10930, 10936, 40549, 40550, 40551, 40552, 40553),  # Azure: limits
        *(40143, 40166, 40189, 40197, 40501, 40540, 40613, 40623, 40642, 40648, 40675, 40903),  # Azure: busy, moved
        *(42108, 42109, 49802, 49918, 49919, 49920),  # Azure: paused, too much at once
        *(20003, 20004, 20006, 20008, 20009, 20017, 20020, 20022),  # FreeTDS: timeout, read, write, connect, end
    ),
    RefusedError: (
        *(220, 232, 241, 242, 244, 245, 248, 8114, 8115, 8169, 9803),  # conversion, overflow
        *(511, 1946, 2628, 8152),  # too long: the row, the key, the value
        *(515, 547, 2601, 2627),  # null, check, duplicate key
        *(8016, 8023, 13609),  # no value of its type, no JSON
    ),
    StopError: (916, 18452, 18456, 18470, 18486, 18487, 18488),  # logins: no access, refused, disabled, locked, expired
}
KINDS = {number: kind for kind, numbers in NUMBERS.items() for number in numbers}
ABSENT = {911, 4060}
LOST = {596, 10053, 10054, 20003, 20004, 20006, 20017, 20020, 20022}
"""After these a connection is of no use, though its SQLSTATE (FreeTDS: HY000) does not say so."""
LOST_STATE = "IMC"
"""Microsoft's driver tried to bring a lost connection back, or could not try: SQLAlchemy does not know this class."""
NO_TRANSACTION = 3903


DUPLICATE = {2601, 2627, 3621}
"""A key that is there already."""

CERTIFICATE_WORDS = ("certificate verify failed", "certificate chain", "principal name", "host name mismatch")
ENCRYPTION_WORDS = ("SSL Provider", "SSL Security", "ncryption", "TLS")
ENCRYPTION = (
    "ODBC Driver 18 encrypts unless the URL has Encrypt=no, and checks the certificate unless it has "
    "TrustServerCertificate=yes (for one that no authority signed): docs/sql-server.md"
)


def numbers_of(original: BaseException | None) -> set[int]:
    """Return SQL Server's error numbers: ODBC has them at the end of each of its records."""
    return {int(number) for number in re.findall(r"\((\d{2,5})\)(?: \(SQL\w+\))?(?=; \[|$)", odbc_text(original))}


def odbc_text(original: BaseException | None) -> str:
    """Return what ODBC says of an error; nothing where it does not come from there."""
    match getattr(original, "args", None):
        case (str(state), str(words)) if words.startswith(f"[{state}]"):
            return words
    return ""


def sqlstate_of(original: BaseException | None) -> str:
    """Return the SQLSTATE: psycopg has it as an attribute, pyodbc as the first argument."""
    state = getattr(original, "sqlstate", None)
    if state is None and original is not None and original.args:
        state = original.args[0]
    return str(state or "")


def is_lost(original: BaseException) -> bool:
    """Whether a connection is of no use any more."""
    return bool(numbers_of(original) & LOST) or sqlstate_of(original).startswith(LOST_STATE)
