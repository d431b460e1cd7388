"""Runs verdicts.jsonl and inputs.jsonl, each case in a temp folder; writes results.jsonl and prints a summary.

usage: PYTHONPATH=... PYTHON run.py [--only id,id] [--verdicts V] [--inputs I] [--out results.jsonl] [--keep] [--setup-only]
"""
import argparse, json, os, re, shutil, signal, subprocess, sys, tempfile, time
HERE=os.path.dirname(os.path.abspath(__file__))
ENV={**os.environ,"OMP_NUM_THREADS":"1","PY":sys.executable,"NO_COLOR":"1","TERM":"dumb","COLUMNS":"200","TOKENIZERS_PARALLELISM":"false","PYTHONDONTWRITEBYTECODE":"1"}
if ENV.get("PYTHONPATH"): ENV["PYTHONPATH"]=os.pathsep.join(os.path.abspath(p) for p in ENV["PYTHONPATH"].split(os.pathsep) if p)
TIMEOUT=120

def call(argv,folder,timeout=TIMEOUT):
    log=os.path.join(folder,".log")
    with open(log,"wb") as f:
        p=subprocess.Popen(argv,cwd=folder,env=ENV,stdout=f,stderr=subprocess.STDOUT,stdin=subprocess.DEVNULL,start_new_session=True)
        try: rc=p.wait(timeout)
        except subprocess.TimeoutExpired: rc=124
        try: os.killpg(p.pid,signal.SIGKILL)      # only the group started here
        except ProcessLookupError: pass
        p.wait()
    return rc,open(log,encoding="utf-8",errors="replace").read()

VERDICT='''
import json, sys
import longstep
c = json.load(open("case.json")); i = c["input"]
rule = longstep.declare(**i["rule"]) if i.get("rule") else None
if c["call"].startswith("longstep.judge"): v = longstep.judge(i["gold"], i["text"], rule=rule)
else: v = longstep.same(i["gold"], i["answer"], rule=rule)
print("RESULT " + json.dumps({"status": v.status, "answer": str(getattr(v, "answer", None)), "reason": str(getattr(v, "reason", "")), "rung": str(getattr(v, "rung", ""))}))
'''
FILLER="Grandmother Petrova stitches a quilt of seventeen hexagonal patches, three buttons on every patch; how many buttons does the quilt carry?"
def matches(right,got,classes=("identical","reworded")):
    if right.startswith("not "): return got!=right[4:]
    if right=="identical or reworded": return got in classes
    if right=="neither identical nor reworded": return got not in classes
    return got in [r.strip() for r in right.split("|")]

def verdict_case(c,folder):
    if c["call"].startswith("longstep."):
        json.dump(c,open(folder+"/case.json","w")); rc,out=call([sys.executable,"-c",VERDICT],folder)
        m=re.search(r"^RESULT (.*)$",out,re.M)
        if rc or not m: return rc,out,"wrong","no verdict"
        got=json.loads(m[1])["status"]
    else:
        i=c["input"]
        for name,q,a in (("bench",i["bench"],i.get("bench_answer")),("rows",i["row"],i.get("row_answer"))):
            lines=[{"problem":q,**({"answer":a} if a is not None else {})}]
            if name=="rows": lines.append({"problem":FILLER,**({"answer":"51"} if a is not None else {})})   # a job that removes every row stops
            with open(f"{folder}/{name}.jsonl","w") as f: f.writelines(json.dumps(l)+"\n" for l in lines)
        rc,out=call([sys.executable,"-m","longstep","data","decontaminate","rows.jsonl","--against","bench.jsonl","--out","o","--json"],folder)
        try: best=json.loads(out[out.index("{\n"):out.rindex("}")+1])["counts"]["best class of a row"]; hit=[k for k,n in best.items() if n and k!="none"]; got=hit[0] if hit else "none"
        except (ValueError,KeyError,StopIteration) as e: return rc,out,"wrong",f"no class ({e!r})"
    return rc,out,"right" if matches(c["right"],got) else "wrong",f"{got}; right: {c['right']}"

def input_case(c,folder):
    s=c["setup"]; argv=["bash","-c",s] if s.startswith("#!") else [sys.executable,"-c",s]
    rc,out=call(argv,folder)
    if rc: return rc,out,"look","SETUP FAILED"
    rc,out=call(["bash","-c",'longstep() { "$PY" -m longstep "$@"; }\n'+c["command"]],folder)
    if rc==124: return rc,out,"look","ran past 120 s: the product, or a busy machine?"
    flat=re.sub(r"\s+"," ",out); said=["look","no check decided"]
    def search(p): return re.search(p,out,re.I) or re.search(p,flat,re.I)
    def says(*ps): return all(search(p) for p in ps)
    def refused(*ps): return rc==2 and "Traceback (most recent" not in out and says(*ps)
    def verdict(ok,note=""): said[:]=["right" if ok else "wrong",str(note)[:300]]
    def look(note=""): said[:]=["look",str(note)[:300]]
    def job():
        try: return json.loads(out[out.index("{\n"):out.rindex("}")+1])
        except ValueError: return None
    was=os.getcwd(); os.chdir(folder)
    try: exec(c["check"],dict(rc=rc,out=out,search=search,says=says,refused=refused,verdict=verdict,look=look,job=job,os=os,re=re,__name__="check"))
    except Exception as e: said[:]=["wrong" if rc else "look",f"the check could not be made: {e!r}"[:300]]
    finally: os.chdir(was)
    return rc,out,*said

def main():
    a=argparse.ArgumentParser(); a.add_argument("--verdicts",default=HERE+"/verdicts.jsonl"); a.add_argument("--inputs",default=HERE+"/inputs.jsonl")
    a.add_argument("--out",default=HERE+"/results.jsonl"); a.add_argument("--only",default=""); a.add_argument("--keep",action="store_true"); a.add_argument("--setup-only",action="store_true"); a=a.parse_args()
    only=set(filter(None,a.only.split(","))); cases=[]
    for path,f in ((a.verdicts,verdict_case),(a.inputs,input_case)):
        if os.path.exists(path): cases+=[(json.loads(l),f) for l in open(path,encoding="utf-8") if l.strip()]
    cases=[(c,f) for c,f in cases if not only or c["id"] in only]; results=[]
    sink=None if a.setup_only else open(a.out,"w",encoding="utf-8")
    for c,f in cases:
        folder=tempfile.mkdtemp(prefix="fc-"+c["id"]+"-"); t=time.time()
        try:
            if a.setup_only:
                if f is verdict_case: continue
                s=c["setup"]; rc,out=call(["bash","-c",s] if s.startswith("#!") else [sys.executable,"-c",s],folder)
                compile(c["check"],c["id"],"exec")
                for p in os.listdir(folder):
                    if p.endswith(".py"): compile(open(folder+"/"+p).read(),p,"exec")
                print(c["id"],"setup",rc,sorted(x for x in os.listdir(folder) if x!=".log"),out[-400:] if rc else "",f"{time.time()-t:.1f} s",flush=True); continue
            rc,out,verdict,note=f(c,folder)
        finally:
            if not a.keep: shutil.rmtree(folder,ignore_errors=True)
        r=dict(id=c["id"],fault=c["fault"],exit=rc,output=out[-600:],verdict=verdict,note=note,seconds=round(time.time()-t,1)); results.append(r)
        sink.write(json.dumps(r,ensure_ascii=False)+"\n"); sink.flush()
        print(f"{r['id']:6} kind {r['fault']:<3} exit {rc!s:4} {verdict:6} {r['seconds']:6.1f} s  {note[:110]}",flush=True)
    if not a.setup_only:
        n={k:sum(r["verdict"]==k for r in results) for k in ("right","wrong","look")}
        print(f"\n{len(results)} cases: {n['right']} right, {n['wrong']} wrong, {n['look']} to look at"); print("wrong:",*(r["id"] for r in results if r["verdict"]=="wrong")); print("look:",*(r["id"] for r in results if r["verdict"]=="look"))
main()
