"""A table of runs that is good, as a mapping and as a file, for tests to change."""

GOOD = """run_id,params,tokens,family,lr,loss,remark
a,70M,3e9,x,0.1,3.5,first
b,70M,"6,000,000,000",x,0.1,3.25,
c,1.4B,3e9,y,0.2,3,
d,1.4B,0.006T,y,0.2,2.5,last
"""


def write(folder, text, name="runs.csv"):
    path = folder / name
    path.write_text(text)
    return path


def table(**changes):
    return {"N": [1e8, 1e8, 1e9], "D": [1e9, 2e9, 4e9], "loss": [3.0, 2.5, 2.0]} | changes
