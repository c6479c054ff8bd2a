-- Operators name an airframe by its registration; positions have its address.
create index aircraft_by_registration on raw.aircraft (upper(replace(registration, '-', '')), icao24);

-- What became of the rows of each of the operator's files when it was last read.
create table raw.operator_files (
    target text not null,
    source text not null,
    is_there boolean not null,
    read_rows bigint not null,
    kept_rows bigint not null,
    repeated_rows bigint not null,
    rejected_rows bigint not null,
    problem text,
    read_at timestamptz,
    primary key (target, source)
);
comment on table raw.operator_files is 'One row per file: read_rows = kept_rows + repeated_rows + rejected_rows.';
comment on column raw.operator_files.is_there is 'Whether the last load found it in the folder.';
comment on column raw.operator_files.kept_rows is 'Rows of the target that have this source.';
comment on column raw.operator_files.repeated_rows is 'Rows that another row, of this file or another, stands for.';
comment on column raw.operator_files.problem is 'Why it could not be read last time; its rows stay as they were.';
