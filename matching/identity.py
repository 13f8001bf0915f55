"""The names of the columns that identify a record, from the upload through every chained step."""

FILE_ID = "_recon_file_id"
"""Int64: the id of the uploaded file that the record came from first."""

ROW = "_recon_row"
"""Int64: the record's number in that file, from 1; the header does not count."""

REASON = "_recon_reason"
"""String: why the record has no partner; only in unmatched frames and artifacts."""

RESERVED = (FILE_ID, ROW, REASON)
"""Input columns may not have these names."""
